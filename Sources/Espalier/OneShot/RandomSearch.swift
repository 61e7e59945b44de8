/// Weight sharing with uniform sampling: each step trains one random architecture's weights
/// (Li & Talwalkar 2019, arXiv:1902.07638); the best of N by validation is the result.
public final class RandomSearch: SearchStrategy {
  /// `random`.
  public static let name = "random"
  /// False: only weights are trained.
  public let needsValidationBatch = false
  private var space: SearchSpace?
  private var best: [String: ResolvedChoice]?

  /// A random search.
  public init() {}

  /// Nothing is refused: one path runs at a time.
  public func prepare(_ search: SearchContext) throws {
    space = search.space
    best = search.randomArchitecture()
  }

  /// Trains one random architecture.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    try search.trainWeights(search.space.sampledDecisions(search.randomArchitecture()), training)
  }

  /// Uniform.
  public func probabilities() throws -> [String: [Double]] {
    guard let space else { preconditionFailure("RandomSearch: prepare(_:) comes first") }
    return space.uniformProbabilities
  }

  /// The first one drawn, or the best one evaluated.
  public func architecture() throws -> [String: ResolvedChoice] {
    guard let best else { preconditionFailure("RandomSearch: prepare(_:) comes first") }
    return best
  }

  /// The best of N random architectures by validation with the shared weights.
  public func finish(_ search: SearchContext, evaluate: CandidateEvaluator) throws
    -> [String: ResolvedChoice]
  {
    let found = try search.bestRandomArchitecture(evaluate)
    best = found
    return found
  }
}

extension RandomSearch {
  static let definition = StrategyDefinition(
    name: name, summary: "trains uniformly drawn paths, keeps the best of N by validation",
    paper: "Li & Talwalkar 2019, arXiv:1902.07638", parameters: [],
    make: { _ throws(SettingError) in RandomSearch() })
}
