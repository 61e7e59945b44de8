/// A supernet under a strategy, as a training loop trains it.
final class SearchTask: TrainingTask {
  let search: SearchContext
  let strategy: any SearchStrategy
  private let data: SearchData
  private let directory: RunDirectory?
  private let callbacks: TrainingCallbacks
  /// Whether the last epoch ended in a collapse, so that only a new one is told.
  private var isCollapsed = false

  /// Makes what the strategy works with; throws where it cannot decide a choice of the space.
  ///
  /// - Parameters:
  ///   - data: The loaders; steps see the training and the validation part.
  ///   - callbacks: Told how many passes are planned ahead, and of a collapse.
  init(
    _ net: any Layer, strategy: any SearchStrategy, data: SearchData, position: TrainingPosition,
    options: SearchOptions, directory: RunDirectory?, callbacks: TrainingCallbacks
  ) throws {
    self.strategy = strategy
    self.data = data
    self.directory = directory
    self.callbacks = callbacks
    let image = data.training.imageShape
    search = try SearchContext(
      net, input: [image.channels, image.height, image.width], options: options,
      position: position)
    try search.requireReachableLimits()
    try strategy.prepare(search)
  }

  var model: any Layer { search.model }
  var weightsOptimizer: any Optimizer { search.optimizer }
  var otherOptimizers: [(name: String, optimizer: any Optimizer)] { strategy.optimizers }

  /// Plans all that training and the evaluations after it will need.
  func prepare() throws {
    var batches: [(training: Int, validation: Int?)] = []
    for size in data.training.batchSizes {
      if strategy.needsValidationBatch, let validation = data.validation {
        for other in validation.batchSizes { batches.append((size, other)) }
      } else {
        batches.append((size, nil))
      }
    }
    try search.rehearse(
      strategy, batches: batches, evaluations: data.makeEvaluation().batchSizes,
      recalibrations: data.makeRecalibration?().batchSizes ?? [], progress: callbacks.planning,
      makeBatch: data.training.zeros)
  }

  func step(_ batch: Batch, at position: TrainingPosition) throws -> StepResult {
    search.position = position
    return try strategy.step(search, training: try TensorBatch(batch)) {
      guard strategy.needsValidationBatch, let validation = data.validation else {
        preconditionFailure(
          "\(type(of: strategy)): asks for a validation batch, but needsValidationBatch is false")
      }
      return try TensorBatch(validation.nextCycling())
    }
  }

  /// The probabilities, and the shares of operations without weights.
  func decisions() throws -> JSONObject {
    let probabilities = try strategy.probabilities()
    var lists = JSONObject()
    for key in probabilities.keys.sorted() {
      lists[key] = probabilities[key].map { list in .array(list.map { .number($0) }) }
    }
    return [
      "decisions": .object(lists), "shares": OperationShares(probabilities, in: search.space).json,
    ]
  }

  /// How much of the probability lies on operations without weights now.
  func shares() throws -> OperationShares {
    OperationShares(try strategy.probabilities(), in: search.space)
  }

  /// Writes the architecture as it stands, and asks the strategy whether to go on.
  func epochEnded(at position: TrainingPosition) throws -> String? {
    search.position = position
    try directory?.write(
      Architecture(strategy.architecture(), in: search.space.choices).jsonText,
      to: "epochs/\(position.epoch + 1).json")
    let shares = try shares()
    if shares.isCollapsed && !isCollapsed {
      callbacks.note("epoch \(position.epoch + 1): the search collapses: \(shares.text)")
    }
    isCollapsed = shares.isCollapsed
    let model = search.model
    switch try strategy.epochEnded(search) {
    case .goOn:
      if search.model !== model { try prepare() }
      return nil
    case .stop(let reason): return reason
    }
  }

  func save(to checkpoint: inout Checkpoint) throws {
    for (name, variable) in strategy.variables { try checkpoint.add(variable, "strategy/\(name)") }
    checkpoint.file.metadata["strategy/state"] = JSONValue.object(strategy.state).compactText
    checkpoint.file.metadata["generator"] = "\(search.generator.state)"
    if let validation = data.validation { checkpoint.add(validation, "validation") }
  }

  func restore(from checkpoint: Checkpoint) throws {
    let metadata = checkpoint.file.metadata
    guard let generator = metadata["generator"].flatMap({ UInt64($0) }),
      case .object(let state)? = try metadata["strategy/state"].map({
        try JSONValue(parsing: Array($0.utf8))
      })
    else { throw RunError("checkpoint: the state of the generator or the strategy is missing") }
    try strategy.restore(state, in: search)
    for (name, variable) in strategy.variables {
      try checkpoint.restore(variable, "strategy/\(name)")
    }
    search.generator.state = generator
    if let validation = data.validation { try checkpoint.restore(validation, "validation") }
  }
}
