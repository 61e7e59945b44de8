import Foundation
import Testing

@testable import Espalier

/// What `Golden/differentiable.py` writes: nets, batches, and where ten steps of a search lead.
struct DifferentiableGolden: Decodable {
  struct Search: Decodable {
    var losses: [Float]
    var alpha: [String: [Float]]
    var weights: [String: [Float]]
    var taken: [[Int]]?
  }
  struct Exact: Decodable {
    var unrolled: [String: [Float]]
    var first_order: [String: [Float]]
  }
  var weights: [String: [Float]]
  var alpha: [String: [Float]]
  var zero_alpha: [String: [Float]]
  var images: [[Float]]
  var labels: [[Int32]]
  var partial_weights: [String: [Float]]
  var partial_alpha: [String: [Float]]
  var partial_images: [[Float]]
  var partial_labels: [[Int32]]
  var searches: [String: Search]
  var exact: Exact
  var eigenvalue: Double

  init() throws { self = try golden("differentiable.json") }

  /// The batch of a number on the first net.
  func batch(_ number: Int) throws -> TensorBatch {
    TensorBatch(
      images: try Tensor(images[number], shape: [6, 3]), labels: try Tensor(labels[number]))
  }

  /// The batch of a number on the partial net.
  func partialBatch(_ number: Int) throws -> TensorBatch {
    TensorBatch(
      images: try Tensor(partial_images[number], shape: [4, 1, 4, 4]),
      labels: try Tensor(partial_labels[number]))
  }

  /// The first net: a layer choice, two edges that an input choice joins, gates.
  func net() throws -> Model {
    let first = LayerChoice(
      ["linear": Linear(3, 4), "tanh": Sequential(Linear(3, 4), Tanh())], key: "first")
    func edge(_ key: String) -> LayerChoice {
      LayerChoice(["none": Zero(stride: 1), "skip": Identity(), "linear": Linear(4, 4)], key: key)
    }
    let (e0, e1) = (edge("e0"), edge("e1"))
    let join = InputChoice(chooseFrom: ["e0", "e1"], chosenCount: 1, key: "join")
    let gates = InputChoice(candidateCount: 2, key: "gates")
    let head = Linear(4, 3)
    return try starting(
      Model(["first": first, "e0": e0, "e1": e1, "join": join, "gates": gates, "head": head]) {
        let a = first($0)
        let node = join([e0(a), e1(tanh(a))]) ?? a
        return head(tanh(gates([a, node]) ?? a))
      }, weights)
  }

  /// The partial net: two edges that are joined, and one that halves the image.
  func partialNet() throws -> Model {
    let stem = Conv2d(1, 8, kernelSize: 1)
    func edge(_ key: String) -> LayerChoice {
      LayerChoice(
        [
          "none": Zero(stride: 1), "skip": Identity(),
          "conv": Conv2d(2, 2, kernelSize: 3, padding: 1, bias: false),
        ], key: key)
    }
    let (e0, e1) = (edge("e0"), edge("e1"))
    let join = InputChoice(chooseFrom: ["e0", "e1"], chosenCount: 1, key: "join")
    let down = LayerChoice(
      [
        "none": Zero(stride: 2), "pool": MaxPool2d(3, stride: 2, padding: 1),
        "conv": Conv2d(2, 2, kernelSize: 3, stride: 2, padding: 1, bias: false),
      ], key: "down")
    let head = Linear(8, 3)
    return try starting(
      Model(["stem": stem, "e0": e0, "e1": e1, "join": join, "down": down, "head": head]) {
        let x = stem($0)
        let part = PartialChannels(divisor: 4)
        let edges = [(e0, x), (e1, relu(x))].map { edge, state in part(state) { edge($0) } }
        let half = part(part.shuffled(join(edges) ?? x)) { down($0) }
        return head(globalAveragePool2d(relu(part.shuffled(half))).flattened())
      }, partial_weights)
  }

  private func starting(_ net: Model, _ weights: [String: [Float]]) throws -> Model {
    #expect(Set(net.namedParameters.map(\.path)) == Set(weights.keys))
    for (path, parameter) in net.namedParameters {
      try parameter.variable.assign(weights[path] ?? [])
    }
    return net
  }

  /// What a strategy works with: the optimizer of the script, ten steps.
  func context(_ net: Model, input: Shape, learningRate: Float = 0.1) throws -> SearchContext {
    let weights = try ParameterSet(net)
    return SearchContext(
      model: net, space: try SearchSpace(of: net, input: input), weights: weights,
      optimizer: try SGD(
        weights.named.map(\.parameter), learningRate: learningRate, momentum: 0.9,
        weightDecay: 3e-3, clipNorm: 1),
      objective: .classification(), generator: SeededGenerator(seed: 1), evaluations: 1,
      position: TrainingPosition(stepCount: 10, epochCount: 1))
  }
}

/// Sets a prepared strategy's α.
func assign(_ alpha: [String: [Float]], to strategy: any SearchStrategy) throws {
  #expect(Set(strategy.variables.map(\.name)) == Set(alpha.keys.map { "alpha." + $0 }))
  for (name, variable) in strategy.variables {
    try variable.assign(alpha[String(name.dropFirst(6))] ?? [])
  }
}

@Suite("DARTS and its kin beside PyTorch", .seededWeights)
struct DifferentiableGoldenTests {
  private static let settings: [String: (strategy: String, values: [String: String])] = [
    "darts": ("darts", [:]), "implicit_zero": ("darts", ["implicit_zero": "true"]),
    "auxiliary_skip": ("darts", ["auxiliary_skip": "1"]),
    "zero_one": ("darts", ["zero_one_weight": "10"]),
    "darts-second-order": ("darts-second-order", [:]), "gdas": ("gdas", [:]),
    "pc-darts": ("pc-darts", [:]),
  ]

  @Test("Ten steps give PyTorch's losses, α and weights", arguments: settings.keys.sorted())
  func tenSteps(name: String) throws {
    let golden = try DifferentiableGolden()
    let expected = try #require(golden.searches[name])
    let (strategyName, values) = try #require(Self.settings[name])
    let isPartial = name == "pc-darts"
    let net = try isPartial ? golden.partialNet() : golden.net()
    let context = try golden.context(net, input: isPartial ? [1, 4, 4] : [3])
    let strategy = try #require(StrategyDefinition.named(strategyName)).make(
      SettingValues(values.merging(["alpha_learning_rate": "0.05"]) { $1 }))
    try strategy.prepare(context)
    try assign(
      isPartial ? golden.partial_alpha : name == "implicit_zero" ? golden.zero_alpha : golden.alpha,
      to: strategy)
    let batch = isPartial ? golden.partialBatch : golden.batch
    var losses: [Float] = []
    for number in 0..<10 {
      context.position.step = number
      let result = try step(random: RandomState(seed: 7, step: UInt32(number))) {
        try strategy.step(context, training: try batch(number % 2)) { try batch(2 + number % 2) }
      }
      losses.append(Float(try result.loss.item()))
    }
    expectClose(losses, expected.losses, "losses")
    for (table, variable) in strategy.variables {
      let found: [Float] = try variable.scalars()
      expectClose(found, expected.alpha[String(table.dropFirst(6))] ?? [], table)
    }
    for (path, parameter) in net.namedParameters {
      expectClose(try parameter.variable.scalars(), expected.weights[path] ?? [], path)
    }
  }
}
