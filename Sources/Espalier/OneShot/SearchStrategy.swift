/// A one-shot search algorithm: decides choices, trains weights, names the best architecture.
///
/// One file each. A strategy writes `Decision`s and never touches a layer's insides. Everything but
/// `prepare` is called after it. What a later step depends on is in `search.generator`, `variables`,
/// `optimizers` or `state`: then a resumed search goes on bit for bit.
public protocol SearchStrategy: AnyObject {
  /// Its name on the command line.
  static var name: String { get }
  /// Whether its steps ask for batches of the validation half.
  var needsValidationBatch: Bool { get }

  /// Makes what the strategy trains; throws where it cannot decide a choice of the space.
  func prepare(_ search: SearchContext) throws
  /// One training step; runs inside `step { }`.
  ///
  /// A step that does not update everything every time does so while `search.isRehearsing`: what
  /// was planned ahead is never planned again.
  /// - Parameters:
  ///   - training: A batch that trains weights.
  ///   - validation: The next batch of the validation half, each time it is called.
  func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult
  /// Told after an epoch's last step, outside of it; by default the search goes on.
  func epochEnded(_ search: SearchContext) throws -> SearchContinuation

  /// How probable each candidate of each key is now; reads values.
  func probabilities() throws -> [String: [Double]]
  /// The best architecture known without evaluating any.
  func architecture() throws -> [String: ResolvedChoice]
  /// The result of the search; by default `architecture()`.
  ///
  /// - Parameter evaluate: Scores architectures with the shared weights.
  func finish(_ search: SearchContext, evaluate: CandidateEvaluator) throws
    -> [String: ResolvedChoice]

  /// The tensors that a checkpoint must hold, by name; a second network's too.
  var variables: [(name: String, variable: Variable)] { get }
  /// Optimizers of the strategy's own, by name; `weights` is the trainer's.
  var optimizers: [(name: String, optimizer: any Optimizer)] { get }
  /// What else a checkpoint must hold: baselines, stages, populations; finite numbers only.
  var state: JSONObject { get }
  /// Puts `state` back, before the network, `variables` and `optimizers` are read from a checkpoint.
  ///
  /// - Throws: Where it is no state of this strategy.
  func restore(_ state: JSONObject, in search: SearchContext) throws
}

/// What becomes of a search after an epoch.
public enum SearchContinuation: Equatable, Sendable {
  /// It goes on to its last epoch.
  case goOn
  /// It ends here; the reason is told, and written to `summary.json`.
  case stop(reason: String)
}

extension SearchStrategy {
  /// Goes on.
  public func epochEnded(_ search: SearchContext) throws -> SearchContinuation { .goOn }
  /// The architecture as it stands.
  public func finish(_ search: SearchContext, evaluate: CandidateEvaluator) throws
    -> [String: ResolvedChoice]
  { try architecture() }
  /// No tensors.
  public var variables: [(name: String, variable: Variable)] { [] }
  /// No optimizers.
  public var optimizers: [(name: String, optimizer: any Optimizer)] { [] }
  /// Nothing.
  public var state: JSONObject { [:] }
  /// Nothing.
  public func restore(_ state: JSONObject, in search: SearchContext) throws {}
}
