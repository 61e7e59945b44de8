import Testing

@testable import Espalier

private final class Net: Module, Layer {
  let conv = LayerChoice(["conv3x3": Conv2d(1, 32, kernelSize: 3), "pool": MaxPool2d(3)])
  let skip = InputChoice(candidateCount: 2)
  let twins = [
    LayerChoice(["a": Linear(2, 2), "b": Identity()], key: "twin"),
    LayerChoice(["a": Linear(2, 2), "b": Identity()], key: "twin"),
  ]
  let head = Sequential(Flatten(), Linear(40, 30))
  let scale = Parameter([1], shape: [1])

  func callAsFunction(_ x: Tensor) -> Tensor { x }
}

@Suite("print(model)", .seededWeights)
struct ModelDescriptionTests {
  @Test("Keys, candidates and numbers of parameters are shown, and the totals at the end")
  func open() {
    let expected = """
      Net
        conv: LayerChoice 'conv', 2 candidates, 320 parameters
          conv3x3: Conv2d, 320 parameters
          pool: MaxPool2d
        skip: InputChoice 'skip', any number of 2 inputs
        twins.0: LayerChoice 'twin', 2 candidates, 6 parameters
          a: Linear, 6 parameters
          b: Identity
        twins.1: LayerChoice 'twin', 2 candidates, 6 parameters, candidates as above
        head: Sequential, 1,230 parameters
        scale: Parameter [1], 1 parameter
      total: 3 choices, 1,563 parameters
      """
    #expect("\(Net())" == expected)
  }

  @Test("Once applied, the description says what was chosen and what is left")
  func applied() throws {
    let net = Net()
    try net.apply(["conv": .name("pool"), "skip": .none, "twin": .weights([0.25, 0.75])])
    let expected = """
      Net
        conv: LayerChoice 'conv'; chosen: pool
          pool: MaxPool2d
        skip: InputChoice 'skip', any number of 2 inputs; chosen: none
        twins.0: LayerChoice 'twin', 6 parameters; chosen: 0.25 a, 0.75 b
          a: Linear, 6 parameters
          b: Identity
        twins.1: LayerChoice 'twin', 6 parameters; chosen: 0.25 a, 0.75 b, candidates as above
        head: Sequential, 1,230 parameters
        scale: Parameter [1], 1 parameter
      total: 3 choices, 1,243 parameters
      """
    #expect("\(net)" == expected)
  }

  @Test("Nested choices are indented below their candidate, shared modules named as such")
  func nested() throws {
    let shared = Linear(1, 1)
    let inner = LayerChoice([Identity(), ReLU()], key: "inner")
    let outer = LayerChoice(["deep": Sequential(inner, shared), "flat": Identity()])
    let join = InputChoice(chooseFrom: ["inner", ""], chosenCount: 1)
    let model = Model(["outer": outer, "join": join, "again": shared]) { $0 }
    #expect(
      "\(model)" == """
        Model
          outer: LayerChoice 'outer', 2 candidates, 2 parameters
            deep: Sequential
              0: LayerChoice 'inner', 2 candidates
                0: Identity
                1: ReLU
              1: Linear, 2 parameters
            flat: Identity
          join: InputChoice 'join', 1 of 2 inputs (inner)
          again: Linear, shared with the one above
        total: 3 choices, 2 parameters
        """)
    try model.apply(["outer": .name("flat"), "inner": .index(0), "join": .index(1)])
    #expect(
      "\(model)" == """
        Model
          outer: LayerChoice 'outer'; chosen: flat
            flat: Identity
          join: InputChoice 'join', 1 of 2 inputs (inner); chosen: 1
          again: Linear, 2 parameters
        total: 2 choices, 2 parameters
        """)
  }

  @Test("A darts space fits on a screen: a line a part, candidates once a key")
  func darts() {
    var configuration = DARTSSpace.Configuration()
    (configuration.channels, configuration.cells, configuration.nodes) = (2, 3, 1)
    let net = DARTSSpace(
      image: ImageShape(channels: 3, height: 8, width: 8), classes: 4, configuration: configuration)
    let text = "\(net)"
    #expect(text.contains("cells.0: DARTSCell 'normal'\n"))
    #expect(text.contains("    _ops.0: LayerChoice 'normal_n2_p0', 8 candidates"))
    #expect(
      text.contains(
        "switches.0: InputChoice 'normal_n2_switch', 2 of 2 inputs (normal_n2_p0, normal_n2_p1)"))
    #expect(text.split(separator: "\n").count < 80)
    #expect(text.hasSuffix("total: 6 choices, 4,338 parameters"))
    #expect(net.parameterCount == 4338)
  }
}
