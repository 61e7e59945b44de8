import Testing

@testable import Espalier

/// A net whose input choice may give nothing, with an `if let` behind it.
private final class SkipNet: Module, Layer {
  let first = LayerChoice([
    "conv3x3": Conv2d(1, 4, kernelSize: 3, padding: 1), "conv1x1": Conv2d(1, 4, kernelSize: 1),
    "conv5x5": Conv2d(1, 4, kernelSize: 5, padding: 2),
  ])
  let second = LayerChoice(["bn": BatchNorm2d(4), "skip": Identity(), "relu": ReLU()])
  let skip = InputChoice(candidateCount: 2)
  let classifier = Linear(4, 3)

  func callAsFunction(_ x: Tensor) -> Tensor {
    let a = first(x)
    var b = second(relu(a))
    if let extra = skip([a, b]) { b = relu(b + extra) }
    return classifier(globalAveragePool2d(b).flattened())
  }
}

/// Concatenates any number of inputs, then goes through those chosen one by one.
private final class SubsetNet: Module, Layer {
  let stem = Conv2d(1, 4, kernelSize: 3, padding: 1)
  let joined: InputChoice
  let listed = InputChoice(candidateCount: 3)
  let isListed: Bool
  let classifier = Linear(4, 3)

  init(isListed: Bool) {
    self.isListed = isListed
    joined = InputChoice(candidateCount: 3, reduction: .concatenation)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let a = stem(x)
    let inputs = [a, relu(a), a * 2]
    var y = a
    if isListed {
      for extra in listed.chosen(inputs) { y = relu(y + extra) }
    } else if let extra = joined(inputs) {
      y = y * extra.mean(axes: [1, 2, 3], keepingDimensions: true)
    }
    return classifier(globalAveragePool2d(y).flattened())
  }
}

/// Each with a process of its own: the arena is of the process, and other tests would enlarge it.
@Suite("Rehearsal", .seededWeights)
struct RehearsalTests {
  /// Rehearses sampled paths of a net, then trains and evaluates random ones: nothing may be planned
  /// and no arena may grow.
  static func expectSteadyState(
    _ net: some Layer, image: ImageShape, classes: Int, steps: Int, launches: Int,
    strategy name: String = RandomSearch.name
  ) throws {
    let space = try SearchSpace(of: net, input: [image.channels, image.height, image.width])
    let weights = try ParameterSet(net)
    let optimizer = try SGD(
      weights.named.map(\.parameter), learningRate: 0.01, momentum: 0.9, clipNorm: 5)
    let search = SearchContext(
      model: net, space: space, weights: weights, optimizer: optimizer,
      objective: .classification(), generator: SeededGenerator(seed: 5), evaluations: 1)
    let strategy = try StrategyDefinition.named(name)?.make(SettingValues())
    guard let strategy else { fatalError("no strategy \(name)") }
    try strategy.prepare(search)
    func batch(_ n: Int) throws -> TensorBatch {
      var generator = SeededGenerator(seed: UInt64(n))
      let count = n * image.channels * image.height * image.width
      return TensorBatch(
        images: try Tensor(
          (0..<count).map { _ in Float(generator.normal()) },
          shape: [n, image.channels, image.height, image.width]),
        labels: try Tensor((0..<n).map { Int32($0 % classes) }))
    }
    func contents() throws -> [[Float]] {
      try net.namedVariables().map { try $0.variable.scalars() }
    }
    let before = try contents()
    try search.rehearse(
      strategy, batches: [(4, 4), (3, 3)], evaluations: [6, 5], recalibrations: [7],
      makeBatch: batch)
    guard try contents() == before else { fatalError("the rehearsal changed weights") }
    EngineStatistics.reset()
    for number in 0..<steps {
      let random = RandomState(seed: 1, step: UInt32(number))
      let data = try batch(number % 5 == 4 ? 3 : 4)
      _ = try step(random: random) {
        try strategy.step(search, training: data) { data }
      }
      guard number % 2 == 1 else { continue }
      let images = try batch(number % 4 == 1 ? 6 : 5)
      let decisions = space.sampledDecisions(search.randomArchitecture())
      for number in 1...2 {
        try search.recalibrate(decisions, number: number) { try batch(7) }
      }
      let result = try step(random: random) {
        Mode.with(.evaluation) { search.evaluate(decisions, images) }
      }
      guard try result.loss.item().isFinite else { fatalError("the loss is not finite") }
    }
    let counters = EngineStatistics.counters
    guard counters.planMisses == 0, counters.arenaGrowths == 0, counters.launches > launches else {
      fatalError("after the rehearsal: \(counters)")
    }
  }

  @Test("100 sampled steps of a net with an empty input choice plan nothing after the rehearsal")
  func skipNet() async {
    await #expect(processExitsWith: .success) {
      try InitialWeights.with(seed: 1) {
        try RehearsalTests.expectSteadyState(
          SkipNet(), image: ImageShape(channels: 1, height: 6, width: 6), classes: 3, steps: 100,
          launches: 1000)
      }
    }
  }

  @Test(
    "So do 100 steps of nets that concatenate what is chosen, or go through it one by one",
    arguments: [false, true])
  func subsets(isListed: Bool) async {
    await #expect(processExitsWith: .success) { [isListed] in
      try InitialWeights.with(seed: 1) {
        try RehearsalTests.expectSteadyState(
          SubsetNet(isListed: isListed), image: ImageShape(channels: 1, height: 6, width: 6),
          classes: 3, steps: 100, launches: 1000)
      }
    }
  }

  @Test(
    "Steps of the darts space plan nothing after the rehearsal",
    arguments: [RandomSearch.name, GDAS.name, SecondOrderDARTS.name])
  func darts(strategy: String) async {
    await #expect(processExitsWith: .success) { [strategy] in
      var configuration = DARTSSpace.Configuration()
      (configuration.channels, configuration.cells, configuration.nodes) = (2, 3, 2)
      let image = ImageShape(channels: 3, height: 8, width: 8)
      let net = DARTSSpace(image: image, classes: 4, configuration: configuration)
      try RehearsalTests.expectSteadyState(
        net, image: image, classes: 4, steps: strategy == SecondOrderDARTS.name ? 10 : 100,
        launches: 10_000, strategy: strategy)
    }
  }
}
