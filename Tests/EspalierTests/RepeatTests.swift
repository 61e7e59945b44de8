import Testing

@testable import Espalier

@Suite("Repeat", .seededWeights)
struct RepeatTests {
  private func output(_ model: Repeat, _ decision: Decision?) throws -> [Float] {
    let x = try Tensor([1] as [Float], shape: [1, 1])
    guard let decision else { return try model(x).scalars() }
    let space = try SearchSpace(of: model, input: [1])
    let key = try #require(space.choices.first).key
    return try space.with([key: decision]) { try model(x).scalars() }
  }

  private func scales() -> Repeat { Repeat([0, 1, 3], key: "depth") { Scale(Float($0 + 2)) } }

  @Test("The first d blocks run, and no others", arguments: [(0, 1), (1, 2), (2, 24)])
  func depth(index: Int, product: Int) throws {
    let calls = [0, 1, 3][index]
    for kind in [Decision.Kind.fixed, .sampled] {
      let model = scales()
      let space = try SearchSpace(of: model, input: [1])
      let layers = model.blocks.compactMap { $0 as? Scale }
      for layer in layers { layer.calls = 0 }
      let x = try Tensor([1] as [Float], shape: [1, 1])
      let y = try space.with(["depth": Decision(kind, active: [index])]) {
        try step { model(x) }.scalars() as [Float]
      }
      #expect(y == [Float(product)])
      #expect(layers.map(\.calls) == (0..<3).map { $0 < calls ? 1 : 0 })
    }
    #expect(try output(scales(), nil) == [1])
  }

  @Test("A mixture is the weighted sum of what the first d blocks give")
  func mixture() throws {
    let weights = try Tensor([9, 0.5, 0.25, 2] as [Float])
    for kind in [Decision.Kind.fixed, .sampled] {
      let all = Decision(kind, active: [0, 1, 2], weights: weights, weightOffset: 1)
      #expect(try output(scales(), all) == [0.5 + 0.5 + 48])
      let two = Decision(kind, active: [0, 2], weights: weights, weightOffset: 1)
      #expect(try output(scales(), two) == [0.5 + 48])
    }
  }

  @Test("Applying keeps the first blocks under their names")
  func applied() throws {
    let model = Repeat([1, 2, 3], key: "depth") { _ in Linear(2, 2) }
    try model.apply(["depth": .name("2")])
    #expect(model.parameterCount == 12)
    #expect(model.namedParameters.map(\.path).last == "1.bias")
  }

  @Test("Choices inside of blocks are rehearsed at every depth")
  func nested() async {
    await #expect(processExitsWith: .success) {
      let stem = Conv2d(1, 4, kernelSize: 3, padding: 1)
      let depth = Repeat([0, 1, 2]) { _ in
        LayerChoice([
          Conv2d(4, 4, kernelSize: 3, padding: 1), Identity(), Conv2d(4, 4, kernelSize: 1),
        ])
      }
      let head = Linear(4, 3)
      let model = Model(["stem": stem, "depth": depth, "head": head]) {
        head(globalAveragePool2d(relu(depth(stem($0)))).flattened())
      }
      try RehearsalTests.expectSteadyState(
        model, image: ImageShape(channels: 1, height: 6, width: 6), classes: 3, steps: 100,
        launches: 1000)
    }
  }

  @Test("Depths whose outputs differ in shape cannot be mixed")
  func mismatch() throws {
    let model = Repeat([1, 2], key: "depth") { Linear(2 + $0, 3 + $0) }
    let space = try SearchSpace(of: model, input: [2])
    #expect(throws: SpaceError.mismatch(key: "depth", shapes: "1 blocks [2, 3], 2 blocks [2, 4]")) {
      try space.requireMixable()
    }
  }
}
