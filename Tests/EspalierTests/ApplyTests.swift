import Testing

@testable import Espalier

/// The guide's five choices, under other names: `LayerChoice1` and so on are matched in order.
private final class GuideNet: Module, Layer {
  let conv = LayerChoice(["conv3x3": Scale(3), "conv5x5": Scale(5)])
  let depth = LayerChoice((0..<8).map { Scale(Float($0)) })
  let named: InputChoice
  let numbered = InputChoice(candidateCount: 3)
  let flags = InputChoice(candidateCount: 5)
  let layers: [MutableScope]

  override init() {
    layers = (1...3).map { MutableScope(key: "layer\($0)") }
    named = InputChoice(chooseFrom: ["layer1", "layer2", "layer3"])
  }
  override var children: [(name: String, member: any ModuleMember)] {
    [("conv", conv), ("depth", depth)]
      + layers.enumerated().map { ("layers.\($0.offset)", $0.element) }
      + [("named", named), ("numbered", numbered), ("flags", flags)]
  }
  func callAsFunction(_ x: Tensor) -> Tensor {
    let y = depth(conv(x))
    let a = named([y, y * 10, y * 100]) ?? y
    let b = numbered([y, y * 10, y * 100]) ?? y
    let c = flags((1...5).map { y * Float($0) }) ?? y
    return concatenate([a, b, c])
  }
}

@Suite("Applying an architecture", .seededWeights)
struct ApplyTests {
  @Test("The guide's five-line sample loads and chooses what it says")
  func guideSample() throws {
    let text = """
      {
          "LayerChoice1": "conv5x5",
          "LayerChoice2": 6,
          "InputChoice3": ["layer1", "layer3"],
          "InputChoice4": [1, 2],
          "InputChoice5": [false, true, false, false, true]
      }
      """
    let net = GuideNet()
    try net.apply(try Architecture(parsing: Array(text.utf8), source: "guide.json"))
    let y = try net(try Tensor([1] as [Float], shape: [1, 1])).scalars() as [Float]
    #expect(y == [3030, 3300, 210])
  }

  @Test("What was not chosen is gone with its parameters")
  func parameterCount() throws {
    let net = MNISTSpace(image: ImageShape(channels: 1, height: 28, width: 28), classes: 10)
    let rest = [
      32 * 64 * 9 + 64, 64 * 64 + 64, 64 * 14 * 14 * 128 + 128, 128 * 10 + 10,
    ].reduce(0, +)
    #expect(net.parameterCount == rest + 320 + 832)
    weak var dropped: Module?
    dropped = net.namedModules.first { $0.path == "conv1.conv3x3" }?.module
    #expect(dropped != nil)
    try net.apply(["conv1": .name("conv5x5"), "skipcon": .none])
    #expect(net.parameterCount == rest + 832)
    #expect(dropped == nil)
    #expect(net.namedParameters.first?.path == "conv1.weight")
  }

  @Test("An architecture that does not fit changes nothing")
  func atomic() throws {
    let net = ToyNet()
    let before = net.parameterCount
    #expect(throws: ArchitectureError.self) {
      try net.apply([
        "first": .name("conv1x1"), "second": .name("nothing"), "skip": .none, "one": .index(0),
      ])
    }
    #expect(throws: ArchitectureError.self) { try net.apply(["first": .name("conv1x1")]) }
    #expect(net.parameterCount == before)
    #expect(net.first.applied == nil)
  }

  @Test("A soft architecture keeps the candidates of weight above 0, weighted")
  func soft() throws {
    let layers = [Linear(2, 2), Linear(2, 2), Linear(2, 2)]
    let choice = LayerChoice(layers)
    let model = Model(["c": choice]) { choice($0) }
    try model.apply(["c": .weights([0.25, 0, 2])])
    #expect(choice.names == ["0", "2"])
    #expect(model.parameterCount == 12)
    #expect(
      model.namedParameters.map(\.path) == ["c.0.weight", "c.0.bias", "c.2.weight", "c.2.bias"])
    let x = try noise([3, 2])
    let expected = try step { layers[0](x) * 0.25 + layers[2](x) * 2 }
    expectClose(try step { model(x) }.scalars(), try expected.scalars())
  }

  @Test("A layer choice of nothing gives zeros")
  func empty() throws {
    let choice = LayerChoice([Linear(2, 2), Linear(2, 2)], key: "c")
    try choice.apply(["c": .none])
    #expect(choice.parameterCount == 0)
    #expect(try choice(try noise([1, 2])).scalars() == [0, 0] as [Float])
  }

  @Test("Choices of one key are pruned together and keep weights of their own")
  func sharedKey() throws {
    let (a, b) = (
      LayerChoice([Linear(2, 2), Linear(2, 2)], key: "k"),
      LayerChoice([Linear(2, 2), Linear(2, 2)], key: "k")
    )
    let model = Model(["a": a, "b": b]) { b(a($0)) }
    try model.apply(["k": .index(1)])
    #expect(model.namedParameters.map(\.path) == ["a.weight", "a.bias", "b.weight", "b.bias"])
    #expect(a.candidates[0].layer !== b.candidates[0].layer)
  }
}

/// A space with its model, made again and again with other weights.
struct InvariantCase: Sendable, CustomStringConvertible {
  let description: String
  let image: ImageShape
  let make: @Sendable () -> any Layer

  static let all = [
    InvariantCase(
      description: "mnist", image: ImageShape(channels: 1, height: 8, width: 8),
      make: { MNISTSpace(image: ImageShape(channels: 1, height: 8, width: 8), classes: 4) }),
    InvariantCase(
      description: "darts", image: ImageShape(channels: 3, height: 8, width: 8),
      make: {
        var configuration = DARTSSpace.Configuration()
        (configuration.channels, configuration.cells, configuration.nodes) = (4, 3, 2)
        return DARTSSpace(
          image: ImageShape(channels: 3, height: 8, width: 8), classes: 4,
          configuration: configuration)
      }),
    InvariantCase(
      description: "toy", image: ImageShape(channels: 1, height: 6, width: 6), make: { ToyNet() }),
    InvariantCase(
      description: "nested", image: ImageShape(channels: 2, height: 4, width: 4),
      make: {
        // A layer beside a sequence of layers: paths that mean another tensor once pruned.
        let inner = LayerChoice([
          Conv2d(2, 2, kernelSize: 1), Sequential(Conv2d(2, 2, kernelSize: 1), BatchNorm2d(2)),
        ])
        return Sequential(
          LayerChoice([Conv2d(2, 2, kernelSize: 1), Sequential(inner, ReLU()), Identity()]),
          GlobalAveragePool2d())
      }),
  ]
}

@Suite(
  "A pruned model with inherited weights gives the supernet's output at that architecture",
  .seededWeights)
struct InvariantTests {
  @Test(arguments: InvariantCase.all)
  func inherits(item: InvariantCase) throws {
    let supernet = InitialWeights.with(seed: 1) { item.make() }
    let space = try SearchSpace(of: erase(supernet), input: shape(item))
    // Running statistics and γ as after some training.
    var generator = SeededGenerator(seed: 3)
    for (path, variable) in supernet.namedVariables() where path.contains("running") {
      try variable.assign(
        (0..<variable.type.shape.count).map { _ in Float(0.5 + generator.uniform()) })
    }
    var checkpoint = Checkpoint()
    try checkpoint.add(supernet)
    let x = try noise(Shape([5] + shape(item).dimensions), seed: 8)
    var seen: Set<String> = []
    for number in 0..<6 {
      let choices = space.randomArchitecture(&generator)
      let architecture = Architecture(choices, in: space.choices)
      guard seen.insert(architecture.jsonText).inserted else { continue }
      let pruned = InitialWeights.with(seed: UInt64(100 + number)) { item.make() }
      try pruned.apply(try Architecture(parsing: Array(architecture.jsonText.utf8), source: "a"))
      try checkpoint.restore(pruned)
      for mode in [Mode.evaluation, .supernetEvaluation] {
        for decisions in [
          space.sampledDecisions(choices), fixedDecisions(space.sampledDecisions(choices)),
        ] {
          let expected = try step {
            Mode.with(mode) { space.with(decisions) { apply(supernet, x) } }
          }
          let found = try step { Mode.with(mode) { apply(pruned, x) } }
          expectClose(
            try found.scalars(), try expected.scalars(), "\(item) \(architecture.json.compactText)")
        }
      }
    }
    #expect(seen.count > 1)
  }

  private func shape(_ item: InvariantCase) -> Shape {
    [item.image.channels, item.image.height, item.image.width]
  }
  private func fixedDecisions(_ decisions: [String: Decision]) -> [String: Decision] {
    decisions.mapValues { Decision(.fixed, active: $0.active) }
  }
  private func apply(_ layer: any Layer, _ x: Tensor) -> Tensor { layer(x) }
  private func erase(_ layer: any Layer) -> Model { Model(layer) }
}

extension Model {
  /// A model of any layer's children, without a name of its own.
  convenience init(_ layer: any Layer) { self.init(["": layer]) { layer($0) } }
}
