import Espalier

/// A search step by any strategy, on the official DARTS space unless the sizes say another.
final class SupernetStep: TrainingStep {
  private let net: any SpaceModel
  private let strategy: any SearchStrategy
  private let search: SearchContext
  private let sizes: StepSizes
  private var batches: [Batch] = []

  /// A search as `SearchTrainer` sets it up, rehearsal and first step included.
  init(_ strategy: any SearchStrategy, _ sizes: StepSizes) throws {
    self.strategy = strategy
    self.sizes = sizes
    let name = sizes.space ?? "darts"
    guard let space = SpaceDefinition.named(name) else {
      throw CheckError(message: "there is no space '\(name)'")
    }
    let net = try InitialWeights.with(seed: 0) { try space.makeSupernet(sizes.settings()) }
    self.net = net
    let data = sizes.dataset(batches: 8)
    var options = SearchOptions()
    options.batchSize = sizes.batch
    options.makeNetwork = { role, settings in
      try InitialWeights.with(seed: 0) { try space.network(role, sizes.settings(settings)) }
    }
    let probe = ContextProbe(strategy)
    let trainer = SearchTrainer(
      net, strategy: probe, data: try LoadedData(train: data, test: data), epochs: 1,
      options: options)
    trainer.callbacks.shouldStop = { true }
    do { try trainer.train() } catch is TrainingInterrupted {}
    guard let context = probe.context else { throw CheckError(message: "the search did not start") }
    search = context
    for index in 0..<8 {
      batches.append(
        try Batch(of: data, at: Array(index * sizes.batch..<(index + 1) * sizes.batch)))
    }
  }

  func run(_ number: Int) throws -> Double {
    let training = batches[2 * number % batches.count]
    let validation = batches[(2 * number + 1) % batches.count]
    search.position.step = number
    let result = try step(random: RandomState(seed: 0, step: UInt32(number + 1))) {
      try strategy.step(
        search, training: try TensorBatch(training), validation: { try TensorBatch(validation) })
    }
    return try result.loss.item()
  }

  /// Forward, data gradient and weight gradient cost the same; α's pass has no weight gradient.
  func flopsOfLastStep() -> Double? {
    let decisions: [String: Decision]
    if let path = strategy as? PathSampling {
      decisions = path.decisions
    } else if strategy is DARTS {
      decisions = Dictionary(
        uniqueKeysWithValues: search.space.choices.map {
          ($0.key, Decision(.fixed, active: Array($0.candidateNames.indices)))
        })
    } else {
      return nil
    }
    let cost = RecordedCost.measure {
      search.space.with(decisions) {
        _ = net(Tensor(zeros: [sizes.batch, 3, sizes.image, sizes.image]))
      }
    }
    return 2 * Double(cost.multiplyAdds) * (strategy.needsValidationBatch ? 5 : 3)
  }
}

/// Trains the weights of one path a step; not a search, only its step.
final class PathSampling: SearchStrategy {
  static let name = "path"
  let needsValidationBatch = false
  /// The last path.
  private(set) var decisions: [String: Decision] = [:]

  func prepare(_ search: SearchContext) throws {}

  func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    decisions = [:]
    for choice in search.space.choices {
      let indices = choice.candidateNames.indices
      switch choice.kind {
      case .layer, .value:
        let allowed = indices.filter { choice.candidateNames[$0] != "none" }
        decisions[choice.key] = .sampled(
          allowed[Int.random(in: 0..<allowed.count, using: &search.generator)])
      case .input: decisions[choice.key] = Decision(.fixed, active: Array(indices))
      }
    }
    return try search.trainWeights(decisions, training)
  }

  func probabilities() throws -> [String: [Double]] { [:] }
  func architecture() throws -> [String: ResolvedChoice] { [:] }
}

/// Keeps the context that a trainer gives to a strategy: nobody else makes one.
private final class ContextProbe: SearchStrategy {
  static let name = "probe"
  private let strategy: any SearchStrategy
  private(set) var context: SearchContext?

  init(_ strategy: any SearchStrategy) { self.strategy = strategy }

  var needsValidationBatch: Bool { strategy.needsValidationBatch }
  func prepare(_ search: SearchContext) throws {
    context = search
    try strategy.prepare(search)
  }
  func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult { try strategy.step(search, training: training, validation: validation) }
  func probabilities() throws -> [String: [Double]] { try strategy.probabilities() }
  func architecture() throws -> [String: ResolvedChoice] { try strategy.architecture() }
}
