import Foundation

/// What a search found.
public struct SearchResult: Sendable {
  /// The architecture.
  public var architecture: Architecture
  /// Its score on the validation part with the shared weights: the selection metric, by its sign
  /// larger is better.
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
    let result = try makeSession().run(isResuming: isResuming)
    self.result = result
    return result
  }

  /// Throws what `train()` would throw before its first step: where the split leaves nothing to one
  /// part, the choices of the network contradict each other, or the strategy cannot decide one.
  public func check() throws { _ = try makeSession() }

  private func makeSession() throws -> SearchSession {
    try SearchSession(
      net: net, strategy: strategy, data: data, epochs: epochs, logFrequency: logFrequency,
      options: options, directory: directory, callbacks: callbacks)
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
