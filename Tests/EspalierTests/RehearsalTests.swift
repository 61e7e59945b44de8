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

@Suite("Rehearsal")
struct RehearsalTests {
  private func misses(
    _ net: some Layer, image: ImageShape, classes: Int, steps: Int
  ) throws -> (misses: Int, growths: Int, launches: Int) {
    let space = try SearchSpace(of: net, input: [image.channels, image.height, image.width])
    let weights = try ParameterSet(net)
    let optimizer = try SGD(
      weights.named.map(\.parameter), learningRate: 0.01, momentum: 0.9, clipNorm: 5)
    let search = SearchContext(
      model: net, space: space, weights: weights, optimizer: optimizer,
      objective: .classification(), generator: SeededGenerator(seed: 5), evaluations: 1)
    let strategy = RandomSearch()
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
      strategy, batches: [(4, nil), (3, nil)], evaluations: [4], makeBatch: batch)
    #expect(try contents() == before)
    let counters = EngineStatistics.threadCounters
    for number in 0..<steps {
      let data = try batch(number % 5 == 4 ? 3 : 4)
      _ = try step(random: RandomState(seed: 1, step: UInt32(number))) {
        try strategy.step(search, training: data) { data }
      }
    }
    let after = EngineStatistics.threadCounters
    return (
      after.planMisses - counters.planMisses, after.arenaGrowths - counters.arenaGrowths,
      after.launches - counters.launches
    )
  }

  @Test("100 sampled steps of a net with an empty input choice plan nothing after the rehearsal")
  func skipNet() throws {
    let result = try InitialWeights.with(seed: 1) {
      try misses(
        SkipNet(), image: ImageShape(channels: 1, height: 6, width: 6), classes: 3, steps: 100)
    }
    #expect(result.misses == 0)
    #expect(result.growths == 0)
    #expect(result.launches > 1000)
  }

  @Test("100 sampled steps of the darts space plan nothing after the rehearsal")
  func darts() throws {
    var configuration = DARTSSpace.Configuration()
    (configuration.channels, configuration.cells, configuration.nodes) = (2, 3, 2)
    let image = ImageShape(channels: 3, height: 8, width: 8)
    let net = DARTSSpace(image: image, classes: 4, configuration: configuration)
    let result = try misses(net, image: image, classes: 4, steps: 100)
    #expect(result.misses == 0)
    #expect(result.growths == 0)
    #expect(result.launches > 10_000)
  }
}
