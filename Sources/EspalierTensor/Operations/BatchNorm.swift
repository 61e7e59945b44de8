import CKernels

/// Mean and biased variance of each channel over a batch: `[N, C, H, W]` or `[N, C]` → two `[C]`.
struct ChannelMoments: Operation {
  static let stem = "batch_norm"
  static let readsPixelStride = true
  static let writesPixelStride = true

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let shape = operands[0].shape
    precondition(
      (shape.rank == 4 || shape.rank == 2) && shape.count > 0,
      "batchNorm: \(shape), needs [N, C, H, W] or [N, C]")
    let type = TensorType([shape[1]], operands[0].dtype)
    return [type, type]
  }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    var row = esp_channel_moments_row()
    (row.images, row.pixels, row.channels) = type.imageSizes
    let workspace = builder.workspace(2 * Int(row.images * row.channels), .float64)
    builder.emit(
      .channelMoments, type.dtype,
      [builder.operand(0), builder.result(0), builder.result(1), workspace], row: row,
      openCL: .items(Int(row.images) * type.channelVectors)
        .then("esp_channel_moments_merge", items: type.channelVectors))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    // mean: dy / m; variance: 2·(x − mean) / m.
    let x = context.operands[0]
    let axes = x.rank == 4 ? [0, 2, 3] : [0]
    let m = Float(axes.reduce(1) { $0 * x.shape[$1] })
    let perChannel = Shape(x.rank == 4 ? [1, x.shape[1], 1, 1] : [1, x.shape[1]])
    var parts: [Tensor] = []
    if let dmean = context.upstream[0] {
      parts.append((dmean * Scalar(1 / m)).reshaped(to: perChannel).broadcast(to: x.shape))
    }
    if let dvariance = context.upstream[1] {
      let centred = x - context.results[0].reshaped(to: perChannel)
      parts.append(centred * (dvariance * Scalar(2 / m)).reshaped(to: perChannel))
    }
    return [addAll(parts)]
  }
}

/// `(x − mean)·rsqrt(variance + ε)·γ + β`.
///
/// Operands: x, mean, variance, then γ and β if affine.
///
/// Of the batch's own moments (`isOfBatch`) the gradient knows that mean and variance depend on x.
/// ε is structure, unlike other floats: no layer changes it between steps, and the pools of one
/// source can share their batch norm only where it is known to be equal.
struct Normalize: Operation {
  static let stem = "batch_norm"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let isAffine: Bool
  let isOfBatch: Bool
  let epsilon: Float

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let channels: Shape = [operands[0].shape[1]]
    for operand in operands.dropFirst() {
      precondition(
        operand.shape == channels,
        "batchNorm: \(operand.shape) for input \(operands[0].shape), needs \(channels)")
    }
    return [operands[0]]
  }
  func isDifferentiable(at index: Int) -> Bool { !isOfBatch || (index != 1 && index != 2) }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    var row = esp_normalize_row()
    (row.images, row.pixels, row.channels) = type.imageSizes
    builder.emit(
      .normalize, type.dtype,
      [
        builder.operand(0), builder.operand(1), builder.operand(2),
        isAffine ? builder.operand(3) : .absent, isAffine ? builder.operand(4) : .absent,
        builder.result(),
      ], scalars: [Scalar(epsilon)], row: row,
      openCL: .items(type.normalizingItems))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let (x, mean, variance) = (context.operands[0], context.operands[1], context.operands[2])
    let dy = context.dy
    var gradients: [Tensor?] = context.operands.map { _ in nil }
    if !isOfBatch {
      // Constants: plain arithmetic.
      let perChannel = Shape(x.rank == 4 ? [1, x.shape[1], 1, 1] : [1, x.shape[1]])
      let axes = x.rank == 4 ? [0, 2, 3] : [0]
      let inverse = rsqrt(variance + Scalar(epsilon)).reshaped(to: perChannel)
      let centred = x - mean.reshaped(to: perChannel)
      let dxhat = isAffine ? dy * context.operands[3].reshaped(to: perChannel) : dy
      if context.isWanted[0] { gradients[0] = dxhat * inverse }
      if context.isWanted[1] { gradients[1] = -(dxhat * inverse).sum(axes: axes) }
      if context.isWanted[2] {
        gradients[2] =
          (dxhat * centred * (inverse * square(inverse)) * -0.5).sum(axes: axes)
      }
      if isAffine {
        if context.isWanted[3] { gradients[3] = (dy * centred * inverse).sum(axes: axes) }
        if context.isWanted[4] { gradients[4] = dy.sum(axes: axes) }
      }
      return gradients
    }
    let sums = record(BatchNormSums(epsilon: epsilon), x, dy, mean, variance)
    let gamma = isAffine ? [context.operands[3]] : []
    if context.isWanted[0] {
      gradients[0] =
        recordAll(
          BatchNormBackward(isAffine: isAffine, epsilon: epsilon),
          [x, dy, mean, variance, sums] + gamma)[0]
    }
    if isAffine {
      if context.isWanted[3] {
        gradients[3] = sums.slice(1..<2, axis: 0).reshaped(to: [x.shape[1]])
      }
      if context.isWanted[4] {
        gradients[4] = sums.slice(0..<1, axis: 0).reshaped(to: [x.shape[1]])
      }
    }
    return gradients
  }
}

/// Moves running statistics towards the batch's.
///
/// Operands: running mean and variance, then the batch's, then the flag that stops updates and, if
/// there are any, the channels' shares; scalars: momentum and m / (m − 1).
/// Results: the statistics after it, in the same memory.
struct RunningUpdate: Operation {
  static let stem = "batch_norm"
  static let readsPixelStride = true
  static let writesPixelStride = true

  let hasShares: Bool

  var effectTargets: [Int] { [0, 1] }
  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0], operands[1]] }
  func isDifferentiable(at index: Int) -> Bool { false }

  func emit(into builder: inout LaunchBuilder) {
    var row = esp_running_update_row()
    row.channels = Int32(builder.operandTypes[0].shape.count)
    builder.emit(
      .runningUpdate, builder.operandTypes[0].dtype,
      (0..<5).map { builder.operand($0) } + [hasShares ? builder.operand(5) : .absent],
      scalars: builder.scalars, row: row, openCL: .items(elementwiseItems(Int(row.channels))))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] { context.operands.map { _ in nil } }
}

extension TensorType {
  /// Images, pixels of an image and channels of `[N, C, H, W]` or `[N, C]`.
  var imageSizes: (Int32, Int32, Int32) {
    let pixels = shape.rank == 4 ? shape[2] * shape[3] : 1
    return (Int32(shape[0]), Int32(pixels), Int32(shape[1]))
  }
  var channelVectors: Int { vectors(shape[1]) }
  /// OpenCL work-items of 64 pixels of 16 channels.
  var normalizingItems: Int { (shape.count / max(shape[1], 1) + 63) / 64 * channelVectors }
}

extension Kernel {
  static let channelMoments = Kernel(
    "channel_moments", esp_channel_moments_f32, esp_channel_moments_f64)
  static let normalize = Kernel("normalize", esp_normalize_f32, esp_normalize_f64)
  static let runningUpdate = Kernel(
    "running_update", esp_running_update_f32, esp_running_update_f64)
}

/// Batch normalisation by the batch's own moments (arXiv:1502.03167).
///
/// - Parameters:
///   - x: `[N, C, H, W]` or `[N, C]`.
///   - gamma: Scale `[C]`, or nil for 1.
///   - beta: Shift `[C]`, or nil for 0.
///   - running: Running mean and variance to move by `momentum` towards the batch's.
///   - shares: What `momentum` is multiplied by, `[C]`; a channel of share 0 keeps its bits.
/// - Returns: The shape of `x`.
public func batchNorm(
  _ x: Tensor, gamma: Tensor? = nil, beta: Tensor? = nil,
  running: (mean: Variable, variance: Variable)? = nil, shares: Tensor? = nil,
  momentum: Float = 0.1, epsilon: Float = 1e-5
) -> Tensor {
  let moments = recordAll(ChannelMoments(), [x])
  if let running {
    let count = x.rank == 4 ? x.shape[0] * x.shape[2] * x.shape[3] : x.shape[0]
    move(
      running, towards: moments, count: count, momentum: momentum, shares: shares)
  }
  return normalize(
    x, mean: moments[0], variance: moments[1], gamma: gamma, beta: beta, epsilon: epsilon,
    isOfBatch: true)
}

/// Moves running statistics by `momentum`, times the channel's share where there are shares, towards
/// moments of `count` elements a channel.
func move(
  _ running: (mean: Variable, variance: Variable), towards moments: [Tensor], count: Int,
  momentum: Float, shares: Tensor? = nil
) {
  guard Recorder.current.updatesVariables else { return }
  let flag = NonFiniteFlag.tensor(on: moments[0].device).cast(to: moments[0].dtype)
  let updated = recordAll(
    RunningUpdate(hasShares: shares != nil),
    [running.mean.tensor, running.variance.tensor] + moments + [flag] + (shares.map { [$0] } ?? []),
    scalars: [Scalar(momentum), Scalar(Float(count) / Float(max(count - 1, 1)))])
  running.mean.adopt(updated[0])
  running.variance.adopt(updated[1])
}

/// Batch normalisation by given moments, as in evaluation.
public func normalize(
  _ x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor? = nil, beta: Tensor? = nil,
  epsilon: Float = 1e-5
) -> Tensor {
  normalize(
    x, mean: mean, variance: variance, gamma: gamma, beta: beta, epsilon: epsilon, isOfBatch: false)
}

private func normalize(
  _ x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor?, beta: Tensor?, epsilon: Float,
  isOfBatch: Bool
) -> Tensor {
  precondition((gamma == nil) == (beta == nil), "batchNorm: gamma and beta come together")
  var operands = [x, mean, variance]
  if let gamma, let beta { operands += [gamma, beta] }
  return recordAll(
    Normalize(isAffine: gamma != nil, isOfBatch: isOfBatch, epsilon: epsilon), operands)[0]
}
