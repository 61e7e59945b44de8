/// A one-shot search algorithm: decides choices, trains weights, names the best architecture.
///
/// One file each. A strategy writes `Decision`s and never touches a layer's insides.
public protocol SearchStrategy: AnyObject {
  /// Its name on the command line.
  static var name: String { get }
  /// Whether a step needs a batch of the validation half beside one of the training half.
  var needsValidationBatch: Bool { get }
  /// Makes what the strategy trains; throws where it cannot decide a choice of the space.
  func prepare(_ search: SearchContext) throws
  /// One training step; runs inside `step { }`.
  func step(_ search: SearchContext, training: TensorBatch, validation: TensorBatch?) throws
    -> StepResult
  /// How probable each candidate of each key is now; reads values.
  func probabilities() throws -> [String: [Double]]
  /// The best architecture known without evaluating any.
  func architecture() throws -> [String: ResolvedChoice]
  /// The result of the search; by default `architecture()`.
  ///
  /// - Parameter evaluate: Scores architectures with the shared weights.
  func finish(_ search: SearchContext, evaluate: CandidateEvaluator) throws
    -> [String: ResolvedChoice]
  /// The tensors that a checkpoint must hold, by name.
  var variables: [(name: String, variable: Variable)] { get }
  /// Optimizers of the strategy's own, by name.
  var optimizers: [(name: String, optimizer: any Optimizer)] { get }
}

extension SearchStrategy {
  /// The architecture as it stands.
  public func finish(_ search: SearchContext, evaluate: CandidateEvaluator) throws
    -> [String: ResolvedChoice]
  { try architecture() }
  /// No tensors.
  public var variables: [(name: String, variable: Variable)] { [] }
  /// No optimizers.
  public var optimizers: [(name: String, optimizer: any Optimizer)] { [] }
}
