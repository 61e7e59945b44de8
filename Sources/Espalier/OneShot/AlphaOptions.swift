/// How architecture parameters begin and learn: Adam, as in DARTS.
public struct AlphaOptions: Sendable {
  /// η.
  public var learningRate: Float = 3e-4
  /// Decays of Adam's mean and square.
  public var betas = (0.5, 0.999)
  /// λ.
  public var weightDecay: Float = 1e-3
  /// α start normal with this standard deviation.
  public var deviation = 1e-3

  /// The defaults of DARTS' authors.
  public init() {}

  /// What a run set, over these.
  init(_ values: SettingValues, over defaults: AlphaOptions = AlphaOptions()) throws(SettingError) {
    self = defaults
    learningRate = Float(
      try values.number("alpha_learning_rate", default: Double(learningRate), in: 0...10))
    betas.0 = try values.number("alpha_beta1", default: betas.0, in: 0...0.9999)
    betas.1 = try values.number("alpha_beta2", default: betas.1, in: 0...0.999999)
    weightDecay = Float(
      try values.number("alpha_weight_decay", default: Double(weightDecay), in: 0...10))
    deviation = try values.number("alpha_deviation", default: deviation, in: 0...10)
  }

  /// The settings that `init` reads.
  ///
  /// - Parameter learningRate: η's default as text.
  static func settings(learningRate: String = "0.0003") -> [SettingDescription] {
    [
      SettingDescription("alpha_learning_rate", learningRate, "Adam's learning rate for α"),
      SettingDescription("alpha_weight_decay", "0.001", "weight decay on α"),
      SettingDescription("alpha_beta1", "0.5", "Adam's decay of the mean for α"),
      SettingDescription("alpha_beta2", "0.999", "Adam's decay of the square for α"),
      SettingDescription("alpha_deviation", "0.001", "standard deviation of the first α"),
    ]
  }

  /// An optimizer of α.
  func optimizer(of alpha: AlphaTables) throws -> Adam {
    try Adam(
      alpha.variables.map { Parameter($0) }, learningRate: learningRate, betas: betas,
      weightDecay: weightDecay)
  }
}
