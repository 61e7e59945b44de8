import Foundation

/// FBNet: differentiable search with a cost in the loss (arXiv:1812.03443).
///
/// Every choice mixes its candidates by `m = softmax((α + g) / τ)`, g Gumbel noise; one draw gives
/// the output and the expected cost E, which is in the loss of α as `0.2 · loss · (log E)^0.6`. The temperature falls as `5 · e^(−0.045 · 90 · progress)`, the
/// authors' decay over their 90 epochs. During the warm-up only weights learn; then each step α
/// follows the loss on a validation batch (AdamW) and the weights the loss on a training batch.
///
/// The result is the most probable candidate of each choice. Deviations: α start at 0 with a small
/// deviation; input choices of any number have a sigmoid gate each, without noise.
public final class FBNet: SearchStrategy {
  /// `fbnet`.
  public static let name = "fbnet"
  /// True: α learns from the validation half.
  public let needsValidationBatch = true

  /// The hyper-parameters.
  public struct Settings: Sendable, Equatable {
    /// AdamW's learning rate for α.
    public var learningRate: Float = 0.01
    /// AdamW's weight decay on α.
    public var weightDecay: Float = 5e-4
    /// τ at the start.
    public var temperature = 5.0
    /// τ is multiplied by `e^(−rate)` ninety times over the search.
    public var annealing = 0.045
    /// Share of the search in which only weights learn.
    public var warmUp = 10.0 / 90
    /// The cost in the loss of α; nil is none.
    public var cost: CostPenalty?

    /// The authors' values.
    public init() {}
  }

  private let settings: Settings
  /// What `prepare` makes.
  private struct Search {
    var space: SearchSpace
    var alpha: AlphaTables
    var optimizer: Adam
  }
  private var search: Search?
  /// The noise of a draw; tests hand in their own.
  var noise: (Shape) -> Tensor = { .gumbel($0) }

  /// An FBNet search.
  public init(_ settings: Settings = Settings()) { self.settings = settings }

  /// Makes α; refuses choices whose candidates differ in shape.
  public func prepare(_ search: SearchContext) throws {
    try search.space.requireMixable()
    let alpha = try AlphaTables(search.space, deviation: 1e-3, &search.generator)
    self.search = Search(
      space: search.space, alpha: alpha,
      optimizer: try Adam(
        alpha.variables.map { Parameter($0) }, learningRate: settings.learningRate,
        weightDecay: settings.weightDecay, decoupledDecay: true))
  }

  private var prepared: Search {
    guard let search else { preconditionFailure("FBNet: prepare(_:) comes first") }
    return search
  }

  /// τ after a share of the search.
  func temperature(at progress: Double) -> Float {
    Float(settings.temperature * exp(-settings.annealing * 90 * progress))
  }

  /// Decisions of one Gumbel draw, and its weights by table.
  private func decisions(_ temperature: Float) -> [String: Decision] {
    prepared.alpha.mixtures { table in
      let alpha = table.alpha.tensor
      if table.isGate { return sigmoid(alpha) }
      return FBNet.weights(alpha, noise: noise(alpha.shape), temperature: temperature)
    }
  }

  /// `softmax((α + noise) / τ)` along the candidates.
  static func weights(_ alpha: Tensor, noise: Tensor, temperature: Float) -> Tensor {
    softmax((alpha + noise) / temperature)
  }

  /// One update of α behind the warm-up, one of the weights.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let temperature = temperature(at: search.position.progress)
    if search.isRehearsing || search.position.progress >= settings.warmUp {
      let held = try validation()
      let (_, gradients) = try valueAndGradient(wrt: prepared.alpha.variables) {
        let decisions = decisions(temperature)
        let loss = search.evaluate(decisions, held).loss
        guard let cost = settings.cost else { return loss }
        return cost(loss, expected: try search.costs().expected(decisions, cost.key))
      }
      try prepared.optimizer.update(with: gradients)
    }
    let (result, gradients) = try valueAndGradient(wrt: search.weights.variables) {
      search.evaluate(decisions(temperature), training)
    }
    try search.optimizer.update(with: gradients)
    return result
  }

  /// `softmax(α)`, or the gates' openings.
  public func probabilities() throws -> [String: [Double]] {
    try prepared.alpha.probabilities(in: prepared.space)
  }

  /// The most probable candidates.
  public func architecture() throws -> [String: ResolvedChoice] {
    prepared.space.discretized(try probabilities())
  }

  /// α by table.
  public var variables: [(name: String, variable: Variable)] { prepared.alpha.named }

  /// AdamW of α.
  public var optimizers: [(name: String, optimizer: any Optimizer)] {
    [("alpha", prepared.optimizer)]
  }
}

extension FBNet {
  static let definition: StrategyDefinition = {
    let d = Settings()
    return StrategyDefinition(
      name: name, summary: "mixes all candidates by Gumbel-softmax, with the cost in the loss",
      paper: "Wu et al. 2019, arXiv:1812.03443",
      parameters: [
        SettingDescription("alpha_learning_rate", "\(d.learningRate)", "AdamW's rate for α"),
        SettingDescription("alpha_weight_decay", "\(d.weightDecay)", "AdamW's decay on α"),
        SettingDescription("temperature", "\(d.temperature)", "temperature at the start"),
        SettingDescription(
          "annealing", "\(d.annealing)", "the temperature falls by e^-this, 90 times a search"),
        SettingDescription("warm_up", "0.1111", "share of the search that trains weights only"),
      ]
        + CostPenalty.settings(
          default: .multiplyAdds, scale: 0.2, exponent: 0.6, reference: "2.718281828459045"),
      make: { values throws(SettingError) in
        var s = Settings()
        s.learningRate = Float(
          try values.number("alpha_learning_rate", default: Double(s.learningRate), in: 0...10))
        s.weightDecay = Float(
          try values.number("alpha_weight_decay", default: Double(s.weightDecay), in: 0...10))
        s.temperature = try values.number(
          "temperature", default: s.temperature, in: 0.01...1000)
        s.annealing = try values.number("annealing", default: s.annealing, in: 0...10)
        s.warmUp = try values.number("warm_up", default: s.warmUp, in: 0...1)
        s.cost = try CostPenalty(
          values, default: .multiplyAdds, scale: 0.2, exponent: 0.6, reference: 2.718281828459045)
        return FBNet(s)
      })
  }()
}
