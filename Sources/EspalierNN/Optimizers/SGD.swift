/// Stochastic gradient descent with momentum, as in PyTorch.
///
/// `g ← g + λ·w; m ← μ·m + (1 − τ)·g` (the first time `m ← g`); `w ← w − η·(m, or g + μ·m with Nesterov)`.
/// The gradients are first scaled so that their global norm is at most `clipNorm`.
public final class SGD: Optimizer {
  /// η.
  public var learningRate: Float
  private let momentum: Float
  private let dampening: Float
  private let weightDecay: Float
  private let isNesterov: Bool
  private let engine: UpdateEngine<SGDRule>

  /// An optimizer of some parameters.
  ///
  /// - Parameters:
  ///   - momentum: μ.
  ///   - dampening: τ.
  ///   - weightDecay: λ.
  ///   - clipNorm: The largest global norm of the gradients; nil is no limit.
  public convenience init(
    _ parameters: [Parameter], learningRate: Float, momentum: Float = 0, dampening: Float = 0,
    weightDecay: Float = 0, nesterov: Bool = false, clipNorm: Float? = nil,
    absentGradients: AbsentGradients = .skipped
  ) throws(DeviceError) {
    try self.init(
      groups: [ParameterGroup(parameters)], learningRate: learningRate, momentum: momentum,
      dampening: dampening, weightDecay: weightDecay, nesterov: nesterov, clipNorm: clipNorm,
      absentGradients: absentGradients)
  }

  /// An optimizer of groups with settings of their own.
  public init(
    groups: [ParameterGroup], learningRate: Float, momentum: Float = 0, dampening: Float = 0,
    weightDecay: Float = 0, nesterov: Bool = false, clipNorm: Float? = nil,
    absentGradients: AbsentGradients = .skipped
  ) throws(DeviceError) {
    precondition(
      !nesterov || (momentum > 0 && dampening == 0),
      "SGD: Nesterov needs momentum above 0 and no dampening")
    self.learningRate = learningRate
    self.momentum = momentum
    self.dampening = dampening
    self.weightDecay = weightDecay
    isNesterov = nesterov
    engine = try UpdateEngine(
      groups, states: [momentum == 0 ? nil : "momentum_buffer"], maximumNorm: clipNorm ?? 0,
      absentGradients: absentGradients)
  }

  /// Applies one update.
  public func update(with gradients: Gradients) throws(DeviceError) {
    try engine.run(gradients) { group, step in
      SGDRule(
        rate: group.learningRate ?? learningRate, momentum: momentum, dampening: dampening,
        decay: group.weightDecay ?? weightDecay, isNesterov: isNesterov, isFirst: step == 1)
    }
  }

  /// Momentum and step counts.
  public var state: OptimizerState { get throws(DeviceError) { try engine.state } }

  /// Sets the step counts of a checkpoint.
  public func restoreSteps(_ steps: [Int]) throws(DeviceError) { try engine.restoreSteps(steps) }

  /// Throws if a gradient's norm was not finite since the last call.
  public func checkFinite(step: Int) throws(DeviceError) { try engine.checkFinite(step: step) }
}
