/// Differentiable architecture search, first order (arXiv:1806.09055).
///
/// Every choice mixes its candidates by `softmax(α)`; each step α follows the loss on a validation
/// batch (Adam) and the weights the loss on a training batch:
///
/// `α ← α − η_α ∇_α L_val(w, α)`, then `w ← w − η_w ∇_w L_trn(w, α)`.
///
/// `architecture()` keeps of each layer choice the candidate of largest α that is not exactly zero,
/// and of an input choice that takes so many layer choices those whose best candidate is most
/// probable. An input choice of any number has a sigmoid gate for each input, kept above 0.5; other input choices
/// are mixed by a softmax of their own.
public final class DARTS: SearchStrategy {
  /// `darts`.
  public static let name = "darts"
  /// True: α learns from the validation half.
  public let needsValidationBatch = true

  private let learningRate: Float
  private let betas: (Double, Double)
  private let weightDecay: Float
  private let initialDeviation: Double

  /// What `prepare` makes.
  private struct Search {
    var space: SearchSpace
    var alpha: AlphaTables
    var optimizer: Adam
  }
  private var search: Search?

  /// A DARTS search with the authors' defaults.
  ///
  /// - Parameters:
  ///   - learningRate: η_α of Adam; 3e-4 in the authors' code.
  ///   - betas: Adam's decays; (0.5, 0.999) there.
  ///   - weightDecay: On α; 1e-3 there.
  ///   - initialDeviation: α start normal with this deviation; 1e-3 there.
  public init(
    learningRate: Float = 3e-4, betas: (Double, Double) = (0.5, 0.999), weightDecay: Float = 1e-3,
    initialDeviation: Double = 1e-3
  ) {
    self.learningRate = learningRate
    self.betas = betas
    self.weightDecay = weightDecay
    self.initialDeviation = initialDeviation
  }

  /// Makes α; refuses choices whose candidates differ in shape.
  public func prepare(_ search: SearchContext) throws {
    let space = search.space
    try space.requireMixable()
    let alpha = try AlphaTables(space, deviation: initialDeviation, &search.generator)
    self.search = Search(
      space: space, alpha: alpha,
      optimizer: try Adam(
        alpha.variables.map { Parameter($0) }, learningRate: learningRate, betas: betas,
        weightDecay: weightDecay))
  }

  private var prepared: Search {
    guard let search else { preconditionFailure("DARTS: prepare(_:) comes first") }
    return search
  }

  /// The decisions of a mixture; recorded, so α gets its gradient.
  private func decisions() -> [String: Decision] {
    prepared.alpha.mixtures { $0.isGate ? sigmoid($0.alpha.tensor) : softmax($0.alpha.tensor) }
  }

  /// One update of α, one of the weights.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let held = try validation()
    let (_, gradients) = try valueAndGradient(wrt: prepared.alpha.variables) {
      search.evaluate(decisions(), held)
    }
    try prepared.optimizer.update(with: gradients)
    let (result, weightGradients) = try valueAndGradient(wrt: search.weights.variables) {
      search.evaluate(decisions(), training)
    }
    try search.optimizer.update(with: weightGradients)
    return result
  }

  /// `softmax(α)`, or the gates' openings; an input that is a layer choice is as probable as the
  /// best of its candidates.
  public func probabilities() throws -> [String: [Double]] {
    try prepared.alpha.probabilities(in: prepared.space)
  }

  /// The official discretisation.
  public func architecture() throws -> [String: ResolvedChoice] {
    prepared.space.discretized(try probabilities())
  }

  /// α by table.
  public var variables: [(name: String, variable: Variable)] { prepared.alpha.named }

  /// Adam of α.
  public var optimizers: [(name: String, optimizer: any Optimizer)] {
    [("alpha", prepared.optimizer)]
  }
}

extension DARTS {
  static let definition = StrategyDefinition(
    name: name, summary: "mixes all candidates by softmax(α), first order",
    paper: "Liu et al. 2019, arXiv:1806.09055",
    parameters: [
      SettingDescription("alpha_learning_rate", "0.0003", "Adam's learning rate for α"),
      SettingDescription("alpha_weight_decay", "0.001", "weight decay on α"),
      SettingDescription("alpha_beta1", "0.5", "Adam's decay of the mean for α"),
      SettingDescription("alpha_beta2", "0.999", "Adam's decay of the square for α"),
      SettingDescription("alpha_deviation", "0.001", "standard deviation of the first α"),
    ],
    make: { values throws(SettingError) in
      DARTS(
        learningRate: Float(try values.number("alpha_learning_rate", default: 3e-4, in: 0...10)),
        betas: (
          try values.number("alpha_beta1", default: 0.5, in: 0...0.9999),
          try values.number("alpha_beta2", default: 0.999, in: 0...0.999999)
        ),
        weightDecay: Float(try values.number("alpha_weight_decay", default: 1e-3, in: 0...10)),
        initialDeviation: try values.number("alpha_deviation", default: 1e-3, in: 0...10))
    })
}
