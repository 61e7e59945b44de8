/// A supernet under a strategy, as a training loop trains it.
final class SearchTask: TrainingTask {
  let search: SearchContext
  let strategy: any SearchStrategy
  private let validation: DataLoader?
  private let directory: RunDirectory?

  /// Makes what the strategy works with; throws where it cannot decide a choice of the space.
  ///
  /// - Parameter data: The loaders; the strategy's steps see the training and validation part.
  init(
    _ net: any Layer, strategy: any SearchStrategy, data: SearchData, image: ImageShape,
    options: SearchOptions, directory: RunDirectory?
  ) throws {
    self.strategy = strategy
    self.directory = directory
    validation = strategy.needsValidationBatch ? data.validation : nil
    let space = try SearchSpace(of: net, input: [image.channels, image.height, image.width])
    let weights = try ParameterSet(net)
    search = SearchContext(
      model: net, space: space, weights: weights, optimizer: try options.optimizer(of: weights),
      objective: options.objective, generator: SearchContext.generator(seed: options.seed),
      evaluations: options.evaluations)
    try strategy.prepare(search)
  }

  var model: any Layer { search.model }
  var weightsOptimizer: any Optimizer { search.optimizer }
  var otherOptimizers: [(name: String, optimizer: any Optimizer)] { strategy.optimizers }

  func step(_ batch: Batch, at position: TrainingPosition) throws -> StepResult {
    search.progress = position.progress
    let held = try validation?.nextCycling()
    return try strategy.step(
      search, training: try TensorBatch(batch), validation: try held.map { try TensorBatch($0) })
  }

  func probabilities() throws -> [String: [Double]] { try strategy.probabilities() }

  /// Writes the architecture as it stands.
  func epochEnded(_ epoch: Int) throws {
    try directory?.write(
      Architecture(strategy.architecture(), in: search.space.choices).jsonText,
      to: "epochs/\(epoch + 1).json")
  }

  func save(to checkpoint: inout Checkpoint) throws {
    for (name, variable) in strategy.variables { try checkpoint.add(variable, "strategy/\(name)") }
    checkpoint.file.metadata["generator"] = "\(search.generator.state)"
    if let validation { checkpoint.add(validation, "validation") }
  }

  func restore(from checkpoint: Checkpoint) throws {
    guard let generator = checkpoint.file.metadata["generator"].flatMap({ UInt64($0) }) else {
      throw RunError("checkpoint: the generator's state is missing")
    }
    for (name, variable) in strategy.variables {
      try checkpoint.restore(variable, "strategy/\(name)")
    }
    search.generator.state = generator
    if let validation { try checkpoint.restore(validation, "validation") }
  }
}
