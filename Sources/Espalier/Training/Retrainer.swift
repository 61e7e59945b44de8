/// What a retraining gave.
public struct RetrainResult: Sendable {
  /// Over the test set.
  public var test: EvaluationResult
  /// Number of parameters.
  public var parameters: Int
  /// Seconds that the training took, in all its sessions.
  public var seconds: Double
}

/// Trains a fixed network from the beginning and evaluates it on the test set.
public final class Retrainer {
  private let net: any SpaceModel
  private let data: LoadedData
  private let epochs: Int
  private let logFrequency: Int
  private let options: RetrainOptions
  private let directory: RunDirectory?
  /// Progress, notes and the wish to stop.
  public var callbacks = TrainingCallbacks()

  /// A training of any model.
  ///
  /// - Parameters:
  ///   - net: The network, with an architecture applied.
  ///   - data: Training and test images.
  ///   - epochs: Passes over the training images.
  ///   - logFrequency: Steps between log lines.
  ///   - options: Everything else.
  ///   - directory: Where log and checkpoints go; nil keeps nothing.
  public init(
    _ net: any Layer, data: LoadedData, epochs: Int = 20, logFrequency: Int = 10,
    options: RetrainOptions = RetrainOptions(), directory: RunDirectory? = nil
  ) {
    precondition(epochs > 0 && logFrequency > 0, "Retrainer: \(epochs) epochs")
    self.net = (net as? any SpaceModel) ?? PlainModel(net)
    self.data = data
    self.epochs = epochs
    self.logFrequency = logFrequency
    self.options = options
    self.directory = directory
  }

  /// Trains from the beginning, or from the directory's checkpoint.
  @discardableResult
  public func train(isResuming: Bool = false) throws -> RetrainResult {
    let indices = DatasetSplit.first(
      options.images ?? .max, of: data.train.count, seed: options.seed)
    let loader = DataLoader(
      data.train, indices: indices, batchSize: options.batchSize,
      transforms: options.augmentation + [Normalize(data.statistics)] + options.lateAugmentation,
      seed: options.seed)
    let loop = TrainingLoop(
      try RetrainTask(net, options), loader: loader, epochs: epochs, logFrequency: logFrequency,
      options: options, directory: directory, callbacks: callbacks)
    try loop.run(isResuming: isResuming)
    let seconds = loop.seconds
    return RetrainResult(
      test: try evaluateOnTestSet(), parameters: net.parameterCount, seconds: seconds)
  }

  /// Loss and accuracy over the test set.
  public func evaluateOnTestSet() throws -> EvaluationResult {
    let loader = DataLoader(
      data.test, indices: Array((0..<data.test.count).prefix(options.testImages ?? .max)),
      batchSize: options.batchSize, transforms: [Normalize(data.statistics)], seed: 0,
      shuffles: false)
    return try evaluate(loader, objective: options.objective) { net($0) }
  }
}
