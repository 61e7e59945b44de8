/// Batch normalisation whose number of channels may be a choice.
///
/// Normalises all channels of the largest size and multiplies γ and β by the mask, so that absent
/// channels are exactly zero to what follows. Running statistics move by `momentum` times the mask:
/// those of an absent channel, whose batch is all zeros, keep their bits.
public final class ElasticBatchNorm2d: Module, Layer, ElasticLayer {
  /// γ `[C]`.
  public private(set) var weight: Parameter
  /// β `[C]`.
  public private(set) var bias: Parameter
  private var runningMean: Buffer
  private var runningVariance: Buffer
  private let channels: LayerSize
  private let masks: SizeMasks
  private let momentum: Float
  private let epsilon: Float

  /// Batch normalisation of `channels` channels.
  ///
  /// - Parameters:
  ///   - momentum: Share of the batch in an update of the running statistics.
  ///   - epsilon: Added to the variance.
  public init(_ channels: LayerSize, momentum: Float = 0.1, epsilon: Float = 1e-5) {
    let count = channels.largest
    precondition(count > 0, "ElasticBatchNorm2d: \(count) channels")
    weight = Parameter([Float](repeating: 1, count: count), shape: [count])
    bias = Parameter([Float](repeating: 0, count: count), shape: [count])
    runningMean = Buffer([Float](repeating: 0, count: count), shape: [count])
    runningVariance = Buffer([Float](repeating: 1, count: count), shape: [count])
    self.channels = channels
    self.momentum = momentum
    self.epsilon = epsilon
    masks = SizeMasks(channels, shape: [count]) { $1 < $0 }
  }

  /// PyTorch's names for the state, then a choice that stands nowhere else.
  public override var children: [(name: String, member: any ModuleMember)] {
    [
      ("weight", weight), ("bias", bias), ("running_mean", runningMean),
      ("running_var", runningVariance),
    ] + choiceChildren(["channels": channels])
  }

  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    var (gamma, beta) = (weight.value, bias.value)
    if NarrowRun.isCurrent {
      let kept = [0..<channels.decided]
      return normalize(
        x, mean: runningMean.value.slice(kept), variance: runningVariance.value.slice(kept),
        gamma: gamma.slice(kept), beta: beta.slice(kept), epsilon: epsilon)
    }
    let mask = masks.current
    if let mask { (gamma, beta) = (gamma * mask, beta * mask) }
    return batchNorm2d(
      x, gamma: gamma, beta: beta, running: (runningMean, runningVariance), shares: mask,
      momentum: momentum, epsilon: epsilon)
  }

  func cut() throws(DeviceError) {
    let kept = [0..<channels.kept]
    weight = try Parameter(kept, of: weight)
    bias = try Parameter(kept, of: bias)
    runningMean = try Buffer(kept, of: runningMean)
    runningVariance = try Buffer(kept, of: runningVariance)
  }

  func parameterCount(_ size: (LayerSize) -> Int) -> Int { 2 * size(channels) }
}
