/// Batch normalisation of `[N, C, H, W]` over N, H and W (arXiv:1502.03167).
///
/// Training: by the batch's biased variance, and running statistics move by `momentum`, or by the
/// mode's, towards the batch's (unbiased variance) where the mode says so. Evaluation: by the running statistics, or by
/// the batch's where none are kept. γ starts at 1, β at 0.
public final class BatchNorm2d: Module, Layer {
  /// γ `[C]`, or nil.
  public let weight: Parameter?
  /// β `[C]`, or nil.
  public let bias: Parameter?
  private let runningMean: Buffer?
  private let runningVariance: Buffer?
  private let momentum: Float
  private let epsilon: Float

  /// Batch normalisation of `channels` channels.
  ///
  /// - Parameters:
  ///   - affine: Whether γ and β are trained.
  ///   - tracksRunningStatistics: Whether running statistics are kept.
  ///   - momentum: Share of the batch in an update of the running statistics.
  ///   - epsilon: Added to the variance.
  public init(
    _ channels: Int, affine: Bool = true, tracksRunningStatistics: Bool = true,
    momentum: Float = 0.1, epsilon: Float = 1e-5
  ) {
    precondition(channels > 0, "BatchNorm2d: \(channels) channels")
    let ones = [Float](repeating: 1, count: channels)
    let zeros = [Float](repeating: 0, count: channels)
    weight = affine ? Parameter(ones, shape: [channels]) : nil
    bias = affine ? Parameter(zeros, shape: [channels]) : nil
    runningMean = tracksRunningStatistics ? Buffer(zeros, shape: [channels]) : nil
    runningVariance = tracksRunningStatistics ? Buffer(ones, shape: [channels]) : nil
    self.momentum = momentum
    self.epsilon = epsilon
  }

  /// PyTorch's names for the state, so that checkpoints exchange.
  public override var children: [(name: String, member: any ModuleMember)] {
    reflectedChildren.map { name, member in
      switch name {
      case "runningMean": ("running_mean", member)
      case "runningVariance": ("running_var", member)
      default: (name, member)
      }
    }
  }

  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    var running: (mean: Buffer, variance: Buffer)?
    if let runningMean, let runningVariance { running = (runningMean, runningVariance) }
    return batchNorm2d(
      x, gamma: weight?.value, beta: bias?.value, running: running, momentum: momentum,
      epsilon: epsilon)
  }
}

/// Batch normalisation as the mode says: by the batch or by the running statistics, which move or stay.
///
/// - Parameters:
///   - running: Running mean and variance `[C]`, if any are kept.
///   - shares: What the momentum is multiplied by, `[C]`; nil is 1.
package func batchNorm2d(
  _ x: Tensor, gamma: Tensor?, beta: Tensor?, running: (mean: Buffer, variance: Buffer)?,
  shares: Tensor? = nil, momentum: Float, epsilon: Float
) -> Tensor {
  let mode = Mode.current
  if !mode.isTraining, !mode.usesBatchStatistics, let running {
    return normalize(
      x, mean: running.mean.value, variance: running.variance.value, gamma: gamma, beta: beta,
      epsilon: epsilon)
  }
  let moving = mode.updatesStatistics ? running : nil
  return ghostBatchNorm(
    x, groupSize: mode.isTraining ? mode.ghostBatchSize ?? .max : .max, gamma: gamma, beta: beta,
    running: moving.map { ($0.mean.variable, $0.variance.variable) }, shares: shares,
    momentum: mode.statisticsMomentum ?? momentum, epsilon: epsilon)
}
