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
    _ net: any Layer, strategy: any SearchStrategy, data: SearchData, position: TrainingPosition,
    options: SearchOptions, directory: RunDirectory?
  ) throws {
    let image = data.training.imageShape
    self.strategy = strategy
    self.directory = directory
    validation = strategy.needsValidationBatch ? data.validation : nil
    let space = try SearchSpace(of: net, input: [image.channels, image.height, image.width])
    let weights = try ParameterSet(net)
    search = SearchContext(
      model: net, space: space, weights: weights, optimizer: try options.optimizer(of: weights),
      objective: options.objective, generator: SearchContext.generator(seed: options.seed),
      evaluations: options.evaluations, position: position)
    try strategy.prepare(search)
  }

  var model: any Layer { search.model }
  var weightsOptimizer: any Optimizer { search.optimizer }
  var otherOptimizers: [(name: String, optimizer: any Optimizer)] { strategy.optimizers }

  func step(_ batch: Batch, at position: TrainingPosition) throws -> StepResult {
    search.position = position
    return try strategy.step(search, training: try TensorBatch(batch)) {
      guard let validation else {
        preconditionFailure(
          "\(type(of: strategy)): asks for a validation batch, but needsValidationBatch is false")
      }
      return try TensorBatch(validation.nextCycling())
    }
  }

  func probabilities() throws -> [String: [Double]] { try strategy.probabilities() }

  /// Writes the architecture as it stands, and asks the strategy whether to go on.
  func epochEnded(at position: TrainingPosition) throws -> String? {
    search.position = position
    try directory?.write(
      Architecture(strategy.architecture(), in: search.space.choices).jsonText,
      to: "epochs/\(position.epoch + 1).json")
    switch try strategy.epochEnded(search) {
    case .goOn: return nil
    case .stop(let reason): return reason
    }
  }

  func save(to checkpoint: inout Checkpoint) throws {
    for (name, variable) in strategy.variables { try checkpoint.add(variable, "strategy/\(name)") }
    checkpoint.file.metadata["strategy/state"] = JSONValue.object(strategy.state).compactText
    checkpoint.file.metadata["generator"] = "\(search.generator.state)"
    if let validation { checkpoint.add(validation, "validation") }
  }

  func restore(from checkpoint: Checkpoint) throws {
    let metadata = checkpoint.file.metadata
    guard let generator = metadata["generator"].flatMap({ UInt64($0) }),
      case .object(let state)? = try metadata["strategy/state"].map({
        try JSONValue(parsing: Array($0.utf8))
      })
    else { throw RunError("checkpoint: the state of the generator or the strategy is missing") }
    try strategy.restore(state)
    for (name, variable) in strategy.variables {
      try checkpoint.restore(variable, "strategy/\(name)")
    }
    search.generator.state = generator
    if let validation { try checkpoint.restore(validation, "validation") }
  }
}
