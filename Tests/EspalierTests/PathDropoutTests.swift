import Foundation
import Testing

@testable import Espalier

@Suite("Path dropout", .seededWeights)
struct PathDropoutTests {
  private struct Golden: Decodable {
    var start: [String: [Float]]
    var images: [Float]
    var kept: [[String: [Int]]]
    var losses: [Double]
    var end: [String: [Float]]
  }

  /// The golden's net.
  private final class Net: Module, Layer {
    let stem = Conv2d(1, 2, kernelSize: 3, padding: 1)
    let norm = BatchNorm2d(2)
    let edge = LayerChoice([
      "conv": Sequential(Conv2d(2, 2, kernelSize: 3, padding: 1), BatchNorm2d(2)),
      "point": Conv2d(2, 2, kernelSize: 1), "skip": Identity(), "none": Zero(stride: 1),
    ])
    let node = InputChoice(candidateCount: 3, chosenCount: 2)
    let head = Linear(2, 3)

    func callAsFunction(_ images: Tensor) -> Tensor {
      let x = relu(norm(stem(images)))
      let y = edge(x)
      return head(globalAveragePool2d(node([x, y, relu(y)]) ?? x).flattened(from: 1))
    }
  }

  @Test("Six steps are PyTorch's: sums of what is kept, ghost batches, decay of what is used only")
  func steps() throws {
    let golden: Golden = try golden("path_dropout.json")
    let net = Net()
    let variables = Dictionary(
      uniqueKeysWithValues: net.namedVariables().map { ($0.path, $0.variable) })
    #expect(Set(variables.keys) == Set(golden.start.keys))
    for (path, values) in golden.start { try variables[path]?.assign(values) }
    let space = try SearchSpace(of: net, input: [1, 4, 4])
    let weights = try ParameterSet(net)
    let context = SearchContext(
      model: net, space: space, weights: weights,
      optimizer: try SGD(
        weights.named.map(\.parameter), learningRate: 0.1, momentum: 0.9, weightDecay: 0.01),
      objective: .classification(), generator: SeededGenerator(seed: 1), evaluations: 1)
    for (number, kept) in golden.kept.enumerated() {
      let batch = TensorBatch(
        images: try Tensor(
          Array(golden.images[number * 96..<(number + 1) * 96]), shape: [6, 1, 4, 4]),
        labels: try Tensor([0, 1, 2, 0, 1, 2] as [Int32]))
      let result = try step {
        try Mode.with(Mode(isTraining: true, updatesStatistics: true, ghostBatchSize: 3)) {
          try context.trainWeights(space.keeping(kept), batch)
        }
      }
      #expect(abs(try result.loss.item() - golden.losses[number]) < 1e-5 * golden.losses[number])
    }
    for (path, values) in golden.end where !path.hasSuffix("num_batches_tracked") {
      expectClose(try #require(variables[path]).scalars(), values, path)
    }
  }

  @Test(
    "Each of k paths is dropped with probability r^(1/k), so that all vanish with probability r")
  func rates() throws {
    let net = Net()
    let coin = InputChoice(candidateCount: 2)
    let one = InputChoice(candidateCount: 3, chosenCount: 1)
    let model = Model(["net": net, "coin": coin, "one": one]) { x in
      let y = net(x)
      return (coin([y, y]) ?? y) + (one([y, y, y]) ?? y)
    }
    let space = try SearchSpace(of: model, input: [1, 4, 4])
    let rate = 0.2
    let draws = 6000
    var generator = SeededGenerator(seed: 3)
    var counts: [String: [[Int]: Int]] = [:]
    for _ in 0..<draws {
      for (key, kept) in space.pathsKept(dropping: rate, &generator) {
        counts[key, default: [:]][kept, default: 0] += 1
      }
    }
    func expect(_ key: String, _ kept: [Int], _ share: Double) {
      let deviation = (share * (1 - share) * Double(draws)).squareRoot()
      let found = Double(counts[key]?[kept] ?? 0)
      #expect(abs(found - share * Double(draws)) <= 4.5 * deviation, "\(key) \(kept)")
    }
    let third = pow(rate, 1.0 / 3)
    for key in ["net.edge", "net.node"] {
      // A candidate that is exactly zero is no path; where all would vanish one of three stays.
      expect(key, [0, 1, 2], pow(1 - third, 3))
      expect(key, [0, 2], third * pow(1 - third, 2))
      expect(key, [1], third * third * (1 - third) + rate / 3)
      expect(key, [], 0)
    }
    // Any number may be none.
    expect("coin", [], rate)
    expect("coin", [0, 1], pow(1 - rate.squareRoot(), 2))
    for index in 0..<3 { expect("one", [index], 1.0 / 3) }
  }

  @Test("The rate rises linearly from nothing")
  func schedule() throws {
    let net = Net()
    let space = try SearchSpace(of: net, input: [1, 4, 4])
    let batch = TensorBatch(
      images: try noise([4, 1, 4, 4]), labels: try Tensor([0, 1, 2, 0] as [Int32]))
    func trained(at step: Int) throws -> Int {
      let context = try toyContext(net, space)
      context.position = TrainingPosition(stepCount: 1000, epochCount: 1)
      context.position.step = step
      let strategy = PathDropout(rate: 0.9)
      try strategy.prepare(context)
      // The gradient of a bias before batch norm is zero but for rounding.
      let parameters = net.edge.namedParameters.filter { $0.path != "conv.0.bias" }
        .map(\.parameter)
      let before = try parameters.map { try $0.variable.scalars() as [Float] }
      _ = try EspalierTensor.step { try strategy.step(context, training: batch) { batch } }
      let after = try parameters.map { try $0.variable.scalars() as [Float] }
      return zip(before, after).filter { $0 != $1 }.count
    }
    // All of the edge's other five parameters train at first.
    for _ in 0..<5 { #expect(try trained(at: 0) == 5) }
    #expect(try (0..<5).map { _ in try trained(at: 999) }.allSatisfy { $0 < 5 })
  }

  @Test(
    "The divergence is the symmetrised Kullback-Leibler divergence of all paths and a random one")
  func divergence() throws {
    let net = Net()
    let space = try SearchSpace(of: net, input: [1, 4, 4])
    let images = try noise([4, 1, 4, 4])
    let batch = TensorBatch(images: images, labels: try Tensor([0, 1, 2, 0] as [Int32]))
    // At a learning rate of zero the step changes nothing.
    let context = try toyContext(net, space, learningRate: 0)
    let strategy = PathDropout(divergenceInterval: 2)
    try strategy.prepare(context)
    let all = Decision(.fixed, active: [0, 1, 2])
    func probabilities(_ decisions: [String: Decision]) throws -> [Float] {
      try EspalierTensor.step {
        Mode.with(.supernetEvaluation) { space.with(decisions) { softmax(net(images)) } }
      }.scalars()
    }
    // The same draws: what is kept comes first, then what is dropped from the diagnostic, a path.
    var copy = context.generator
    _ = space.pathsKept(dropping: 0, &copy)
    _ = space.pathsKept(dropping: 0, &copy)
    let p = try probabilities(["edge": all, "node": all])
    let q = try probabilities(space.sampledDecisions(space.randomArchitecture(&copy)))
    let expected = zip(p, q).reduce(0) { $0 + ($1.0 - $1.1) * (log($1.0) - log($1.1)) } / 4
    func metric() throws -> Double? {
      try EspalierTensor.step { try strategy.step(context, training: batch) { batch } }
        .metrics["divergence"]?.item()
    }
    let found = try #require(try metric())
    #expect(expected > 0 && abs(found - Double(expected)) < 1e-5 * Double(expected) + 1e-7)
    context.position.step = 1
    #expect(try metric() == nil)
  }

  @Test("Nothing is planned and nothing grows after the rehearsal on the darts space")
  func steadyState() async {
    await #expect(processExitsWith: .success) {
      var configuration = DARTSSpace.Configuration()
      (configuration.channels, configuration.cells, configuration.nodes) = (2, 3, 2)
      let net = DARTSSpace(
        image: ImageShape(channels: 1, height: 8, width: 8), classes: 3,
        configuration: configuration)
      let context = try toyContext(net, try SearchSpace(of: net, input: [1, 8, 8]))
      let strategy = PathDropout(rate: 0.5, ghostBatch: 3, divergenceInterval: 7)
      try strategy.prepare(context)
      context.position = TrainingPosition(stepCount: 60, epochCount: 1)
      func batch(_ count: Int) throws -> TensorBatch {
        TensorBatch(
          images: try noise([count, 1, 8, 8]), labels: try Tensor((0..<count).map { Int32($0 % 3) })
        )
      }
      try context.rehearse(
        strategy, batches: [(8, nil), (5, nil)], evaluations: [4], recalibrations: [8],
        makeBatch: batch)
      EngineStatistics.reset()
      for number in 0..<60 {
        context.position.step = number
        _ = try step(random: RandomState(seed: 1, step: UInt32(number))) {
          let data = try batch(number % 6 == 5 ? 5 : 8)
          return try strategy.step(context, training: data) { data }
        }
      }
      let counters = EngineStatistics.counters
      guard counters.planMisses == 0, counters.arenaGrowths == 0, counters.launches > 1000 else {
        fatalError("after the rehearsal: \(counters)")
      }
    }
  }
}
