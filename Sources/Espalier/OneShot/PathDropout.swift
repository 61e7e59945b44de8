/// Path dropout: one model of all paths, some of which are dropped in each step ("Understanding and
/// simplifying one-shot architecture search", Bender and others 2018).
///
/// A node adds up its inputs, an edge all of its candidates. Of k of these each is dropped with
/// probability `r^(1/k)`, so that all vanish with probability r, which rises linearly from 0 to
/// `rate`. Where nothing may not be, one drawn uniformly stays. Batch norm normalises ghost batches.
/// What stays is not scaled up, and parameters of what was dropped keep their bits: no decay either.
/// After training the best of N uniformly random paths is the result.
///
/// Input choices that take exactly one input, concatenate, or are gone through one by one, and
/// numbers as choices, are drawn uniformly: several at once would not be what the model can do.
///
/// Every `divergence_interval` steps the metric `divergence` is the symmetrised Kullback-Leibler
/// divergence between the predictions of all paths and of a random one: as long as it is large the
/// shared weights say little about single paths.
public final class PathDropout: SearchStrategy {
  /// `path-dropout`.
  public static let name = "path-dropout"
  /// False: only weights are trained.
  public let needsValidationBatch = false

  private let rate: Double
  private let ghostBatch: Int?
  private let divergenceInterval: Int

  /// What `prepare` makes.
  private struct Search {
    var space: SearchSpace
    var best: [String: ResolvedChoice]
  }
  private var search: Search?

  /// A search by path dropout.
  ///
  /// - Parameters:
  ///   - rate: The probability at the end with which all inputs of a node would vanish.
  ///   - ghostBatch: Images that batch norm normalises over while training; nil: the whole batch.
  ///   - divergenceInterval: Steps between two measurements of the divergence.
  public init(rate: Double = 0.1, ghostBatch: Int? = 32, divergenceInterval: Int = 100) {
    self.rate = rate
    self.ghostBatch = ghostBatch
    self.divergenceInterval = divergenceInterval
  }

  /// Refuses choices whose candidates differ in shape.
  public func prepare(_ search: SearchContext) throws {
    try search.space.requireMixable()
    self.search = Search(space: search.space, best: search.randomArchitecture())
  }

  private var prepared: Search {
    guard let search else { preconditionFailure("PathDropout: prepare(_:) comes first") }
    return search
  }

  /// Trains what is not dropped.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let space = prepared.space
    let kept = space.pathsKept(
      dropping: rate * search.position.progress, &search.generator)
    var mode = Mode.current
    mode.ghostBatchSize = ghostBatch
    var result = try Mode.with(mode) {
      try search.trainWeights(space.keeping(kept), training)
    }
    if search.isRehearsing || search.position.step % divergenceInterval == 0 {
      result.metrics["divergence"] = divergence(search, training)
    }
    return result
  }

  /// `Σ (p − q)·(log p − log q)`, the mean over a batch, of all paths and of a random one; nil where
  /// predictions are no classes.
  private func divergence(_ search: SearchContext, _ batch: TensorBatch) -> Tensor? {
    guard batch.labels != nil else { return nil }
    let space = prepared.space
    func predictions(_ decisions: [String: Decision]) -> Tensor {
      Mode.with(.supernetEvaluation) {
        logSoftmax(space.with(decisions) { search.model(batch.images) })
      }
    }
    let all = predictions(space.keeping(space.pathsKept(dropping: 0, &search.generator)))
    let one = predictions(space.sampledDecisions(search.randomArchitecture()))
    return ((exp(all) - exp(one)) * (all - one)).sum(axes: [1]).mean()
  }

  /// Uniform.
  public func probabilities() throws -> [String: [Double]] { prepared.space.uniformProbabilities }

  /// The first path drawn, or the best one evaluated.
  public func architecture() throws -> [String: ResolvedChoice] { prepared.best }

  /// The best of N random paths by validation with the shared weights.
  public func finish(_ search: SearchContext, evaluate: CandidateEvaluator) throws
    -> [String: ResolvedChoice]
  {
    let best = try search.bestRandomArchitecture(evaluate)
    self.search?.best = best
    return best
  }
}

extension PathDropout {
  static let definition = StrategyDefinition(
    name: name,
    summary: "trains all paths at once and drops more and more of them; "
      + "exports the best of N random paths by validation",
    paper: "Bender et al. 2018, Understanding and Simplifying One-Shot Architecture Search",
    parameters: [
      SettingDescription(
        "path_dropout", "0.1", "probability at the end that all inputs of a node would vanish"),
      SettingDescription(
        "ghost_batch", "32", "images that batch norm normalises over in training; 0: the batch"),
      SettingDescription(
        "divergence_interval", "100", "steps between measurements of the divergence"),
    ],
    make: { values throws(SettingError) in
      let ghost = try values.integer("ghost_batch", default: 32, in: 0...1_000_000)
      return PathDropout(
        rate: try values.number("path_dropout", default: 0.1, in: 0...0.99),
        ghostBatch: ghost > 0 ? ghost : nil,
        divergenceInterval: try values.integer(
          "divergence_interval", default: 100, in: 1...Int.max))
    })
}
