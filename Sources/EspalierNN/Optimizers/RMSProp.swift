/// RMSProp (Hinton 2012), as in PyTorch.
public final class RMSProp: Optimizer {
  /// η.
  public var learningRate: Float
  private let alpha: Double
  private let epsilon: Float
  private let weightDecay: Float
  private let momentum: Float
  private let engine: UpdateEngine<RMSPropRule>

  /// An optimizer of some parameters.
  ///
  /// - Parameters:
  ///   - alpha: Decay of the mean square.
  ///   - centered: Whether the mean is taken off the mean square.
  ///   - clipNorm: The largest global norm of the gradients; nil is no limit.
  public init(
    _ parameters: [Parameter], learningRate: Float = 1e-2, alpha: Double = 0.99,
    epsilon: Float = 1e-8, weightDecay: Float = 0, momentum: Float = 0, centered: Bool = false,
    clipNorm: Float? = nil, absentGradients: AbsentGradients = .skipped
  ) throws(DeviceError) {
    self.learningRate = learningRate
    self.alpha = alpha
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.momentum = momentum
    engine = try UpdateEngine(
      [ParameterGroup(parameters)],
      states: ["square_avg", centered ? "grad_avg" : nil, momentum > 0 ? "momentum_buffer" : nil],
      maximumNorm: clipNorm ?? 0,
      absentGradients: absentGradients)
  }

  /// Applies one update.
  public func update(with gradients: Gradients) throws(DeviceError) {
    try engine.run(gradients) { group, _ in
      RMSPropRule(
        rate: group.learningRate ?? learningRate, alpha: alpha, epsilon: epsilon,
        decay: group.weightDecay ?? weightDecay, momentum: momentum)
    }
  }

  /// Mean squares and step counts.
  public var state: OptimizerState { get throws(DeviceError) { try engine.state } }

  /// Sets the step counts of a checkpoint.
  public func restoreSteps(_ steps: [Int]) throws(DeviceError) { try engine.restoreSteps(steps) }

  /// Throws if a gradient's norm was not finite since the last call.
  public func checkFinite(step: Int) throws(DeviceError) { try engine.checkFinite(step: step) }
}
