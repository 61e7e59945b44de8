import Foundation

/// Adam (arXiv:1412.6980), or AdamW (arXiv:1711.05101) with decoupled weight decay, as in PyTorch.
public final class Adam: Optimizer {
  /// η.
  public var learningRate: Float
  private let betas: (Double, Double)
  private let epsilon: Float
  private let weightDecay: Float
  private let isDecoupled: Bool
  private let engine: UpdateEngine<AdamRule>

  /// An optimizer of some parameters.
  ///
  /// - Parameters:
  ///   - betas: Decay of the first and second moment.
  ///   - decoupledDecay: Whether the decay acts on the weights (AdamW) instead of the gradient.
  ///   - clipNorm: The largest global norm of the gradients; nil is no limit.
  public convenience init(
    _ parameters: [Parameter], learningRate: Float = 1e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Float = 1e-8, weightDecay: Float = 0, decoupledDecay: Bool = false,
    clipNorm: Float? = nil, absentGradients: AbsentGradients = .skipped
  ) throws(DeviceError) {
    try self.init(
      groups: [ParameterGroup(parameters)], learningRate: learningRate, betas: betas,
      epsilon: epsilon, weightDecay: weightDecay, decoupledDecay: decoupledDecay,
      clipNorm: clipNorm, absentGradients: absentGradients)
  }

  /// An optimizer of groups with settings of their own.
  public init(
    groups: [ParameterGroup], learningRate: Float = 1e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Float = 1e-8, weightDecay: Float = 0, decoupledDecay: Bool = false,
    clipNorm: Float? = nil, absentGradients: AbsentGradients = .skipped
  ) throws(DeviceError) {
    self.learningRate = learningRate
    self.betas = betas
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    isDecoupled = decoupledDecay
    engine = try UpdateEngine(
      groups, states: ["exp_avg", "exp_avg_sq"], maximumNorm: clipNorm ?? 0,
      absentGradients: absentGradients)
  }

  /// Applies one update.
  public func update(with gradients: Gradients) throws(DeviceError) {
    // Parameters that were always updated together have one step count.
    var (last, corrections) = (0, (Float(0), Float(0)))
    try engine.run(gradients) { group, step in
      if step != last {
        last = step
        corrections = (
          Float(1 - Foundation.pow(betas.0, Double(step))),
          Float((1 - Foundation.pow(betas.1, Double(step))).squareRoot())
        )
      }
      return AdamRule(
        rate: group.learningRate ?? learningRate, betas: betas, epsilon: epsilon,
        decay: group.weightDecay ?? weightDecay, corrections: corrections,
        isDecoupled: isDecoupled)
    }
  }

  /// Moments and step counts.
  public var state: OptimizerState { get throws(DeviceError) { try engine.state } }

  /// Sets the step counts of a checkpoint.
  public func restoreSteps(_ steps: [Int]) throws(DeviceError) { try engine.restoreSteps(steps) }

  /// Throws if a gradient's norm was not finite since the last call.
  public func checkFinite(step: Int) throws(DeviceError) { try engine.checkFinite(step: step) }
}
