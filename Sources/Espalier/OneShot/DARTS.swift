/// Differentiable architecture search, first order (arXiv:1806.09055).
///
/// Every choice mixes its candidates by `softmax(α)`; each step α follows the loss on a validation
/// batch (Adam) and the weights the loss on a training batch:
///
/// `α ← α − η_α ∇_α L_val(w, α)`, then `w ← w − η_w ∇_w L_trn(w, α)`.
///
/// `architecture()` keeps of each layer choice the candidate of largest α that is not exactly zero,
/// and of an input choice that takes so many layer choices those whose best candidate is most
/// probable. An input choice of any number has a sigmoid gate for each input, kept above 0.5; other
/// input choices are mixed by a softmax of their own.
public final class DARTS: MixedStrategy {
  /// `darts`.
  public static let name = "darts"
  private let options: MixedSearchOptions
  /// What `prepare` made.
  public private(set) var mixed: MixedSearch?

  /// A DARTS search.
  public init(_ options: MixedSearchOptions) { self.options = options }

  /// A DARTS search with the authors' defaults.
  ///
  /// - Parameters:
  ///   - learningRate: η_α of Adam; 3e-4 in the authors' code.
  ///   - betas: Adam's decays; (0.5, 0.999) there.
  ///   - weightDecay: On α; 1e-3 there.
  ///   - initialDeviation: α start normal with this deviation; 1e-3 there.
  public convenience init(
    learningRate: Float = 3e-4, betas: (Double, Double) = (0.5, 0.999), weightDecay: Float = 1e-3,
    initialDeviation: Double = 1e-3
  ) {
    var options = MixedSearchOptions()
    (options.alpha.learningRate, options.alpha.betas) = (learningRate, betas)
    (options.alpha.weightDecay, options.alpha.deviation) = (weightDecay, initialDeviation)
    self.init(options)
  }

  /// Makes α; refuses choices whose candidates differ in shape.
  public func prepare(_ search: SearchContext) throws { mixed = try MixedSearch(search, options) }

  /// One update of α, one of the weights.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let held = try validation()
    try prepared.trainAlpha(search, held)
    let result = try prepared.trainWeights(search, training)
    try prepared.measureCurvature(search, held)
    return result
  }
}

extension DARTS {
  static let definition = StrategyDefinition(
    name: name, summary: "mixes all candidates by softmax(α), first order",
    paper: "Liu et al. 2019, arXiv:1806.09055", parameters: MixedSearchOptions.settings(),
    make: { values throws(SettingError) in DARTS(try MixedSearchOptions(values)) })
}
