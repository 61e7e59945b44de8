import Foundation

/// Everything about a search that is not the network, the strategy or the data.
public struct SearchOptions {
  /// Samples in a batch.
  public var batchSize = 64
  /// Fixes shuffles, splits, noise and initial α.
  public var seed: UInt64 = 0
  /// Share of the training images that trains weights; the rest trains α or selects.
  public var split = 0.5
  /// Use only the first so many training images after the shuffle.
  public var images: Int?
  /// The learning rate of the weights over the search.
  public var schedule = LearningRateSchedule.cosine(0.025, to: 0.001)
  /// Momentum of the weights.
  public var momentum: Float = 0.9
  /// Weight decay of the weights.
  public var weightDecay: Float = 3e-4
  /// The largest global norm of the weights' gradients.
  public var clipNorm: Float? = 5
  /// How the weights' optimizer is made, where it is not SGD with the settings above.
  public var makeOptimizer: (([Parameter]) throws -> any Optimizer)?
  /// Loss and metrics.
  public var objective = Objective.classification()
  /// Augmentation of training images, before normalisation.
  public var augmentation: [any Augmentation] = []
  /// Evaluated architectures after training at most.
  public var evaluations = 100
  /// Validation images that an evaluation looks at, at most.
  public var evaluationImages = 1000
  /// Whether random architectures are evaluated beside the result.
  public var reportsBaseline = true
  /// Steps between checkpoints; there is one at the end of each epoch too.
  public var checkpointInterval = 200
  /// What must be the same when a run is resumed, as text, and is kept in its checkpoints.
  public var metadata: [String: String] = [:]

  /// The defaults of DARTS' search.
  public init() {}
}

/// What a search found.
public struct SearchResult: Sendable {
  /// The architecture.
  public var architecture: Architecture
  /// Its accuracy on the validation part with the shared weights.
  public var validation: Double?
  /// The best of as many random architectures, likewise.
  public var randomBaseline: Double?
  /// Seconds that the search took, in all its sessions.
  public var seconds: Double
  /// Why the strategy ended the search before its last epoch; nil where it did not.
  public var stopReason: String?
}

/// Trains a supernet by a strategy and exports the best architecture.
public final class SearchTrainer {
  private let net: any Layer
  private let strategy: any SearchStrategy
  private let data: LoadedData
  private let epochs: Int
  private let logFrequency: Int
  private let options: SearchOptions
  private let directory: RunDirectory?
  /// Progress, notes and the wish to stop.
  public var callbacks = TrainingCallbacks()
  private var result: SearchResult?

  /// A search.
  ///
  /// - Parameters:
  ///   - net: The supernet: an ordinary model with choices.
  ///   - strategy: The algorithm.
  ///   - data: Training and test images; the test set is not looked at.
  ///   - epochs: Passes over the part that trains weights.
  ///   - logFrequency: Steps between log lines.
  ///   - options: Everything else.
  ///   - directory: Where log, checkpoints and architectures go; nil keeps nothing.
  public init(
    _ net: any Layer, strategy: any SearchStrategy, data: LoadedData, epochs: Int = 50,
    logFrequency: Int = 10, options: SearchOptions = SearchOptions(),
    directory: RunDirectory? = nil
  ) {
    precondition(epochs > 0 && logFrequency > 0, "SearchTrainer: \(epochs) epochs")
    self.net = net
    self.strategy = strategy
    self.data = data
    self.epochs = epochs
    self.logFrequency = logFrequency
    self.options = options
    self.directory = directory
  }

  /// Searches from the beginning, or from the directory's checkpoint.
  @discardableResult
  public func train(isResuming: Bool = false) throws -> SearchResult {
    let session = try SearchSession(
      net: net, strategy: strategy, data: data, epochs: epochs, logFrequency: logFrequency,
      options: options, directory: directory, callbacks: callbacks)
    let result = try session.run(isResuming: isResuming)
    self.result = result
    return result
  }

  /// The architecture found.
  /// - Precondition: `train()` has run.
  public func export() -> Architecture {
    guard let result else { preconditionFailure("SearchTrainer.export: call train() first") }
    return result.architecture
  }

  /// Writes the architecture found; folders on the way are made.
  public func export(to path: String) throws {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try export().write(to: path)
  }
}
