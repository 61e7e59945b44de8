import CKernels

/// `[2, C]`: Σ dy and Σ dy·x̂.
///
/// Operands: x, dy, mean, variance.
struct BatchNormSums: Operation {
  static let stem = "batch_norm"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let epsilon: Float

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType([2, operands[0].shape[1]], operands[0].dtype)]
  }
  func isDifferentiable(at index: Int) -> Bool { index < 2 }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    var row = esp_batch_norm_sums_row()
    (row.images, row.pixels, row.channels) = type.imageSizes
    let workspace = builder.workspace(2 * Int(row.images * row.channels), .float64)
    builder.emit(
      .batchNormSums, type.dtype,
      [
        builder.operand(0), builder.operand(1), builder.operand(2), builder.operand(3),
        builder.result(), workspace,
      ], scalars: [Scalar(epsilon)], row: row,
      openCL: .items(Int(row.images) * type.channelVectors)
        .then("esp_batch_norm_sums_merge", items: vectors(2 * type.shape[1])))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    secondOrder(context) { x, dy, _ in BatchNormSums.formula(x, dy, Scalar(epsilon)) }
  }

  /// The same in primitive operations.
  static func formula(_ x: Tensor, _ dy: Tensor, _ epsilon: Scalar) -> Tensor {
    let axes = x.rank == 4 ? [0, 2, 3] : [0]
    return stack([dy.sum(axes: axes), (dy * standardized(x, epsilon)).sum(axes: axes)])
  }
}

/// dx of batch norm.
///
/// Operands: x, dy, mean, variance, sums, then γ if affine.
struct BatchNormBackward: Operation {
  static let stem = "batch_norm"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let isAffine: Bool
  let epsilon: Float

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }
  func isDifferentiable(at index: Int) -> Bool { index < 2 || index == 5 }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    var row = esp_batch_norm_backward_row()
    (row.images, row.pixels, row.channels) = type.imageSizes
    builder.emit(
      .batchNormBackward, type.dtype,
      [
        builder.operand(0), builder.operand(1), builder.operand(2), builder.operand(3),
        isAffine ? builder.operand(5) : .absent, builder.operand(4), builder.result(),
      ], scalars: [Scalar(epsilon)], row: row,
      openCL: .items(type.normalizingItems))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    secondOrder(context, gamma: isAffine ? 5 : nil) { x, dy, gamma in
      BatchNormBackward.formula(x, dy, gamma, Scalar(epsilon))
    }
  }

  /// The same in primitive operations.
  static func formula(_ x: Tensor, _ dy: Tensor, _ gamma: Tensor?, _ epsilon: Scalar) -> Tensor {
    let axes = x.rank == 4 ? [0, 2, 3] : [0]
    let perChannel = Shape(x.rank == 4 ? [1, x.shape[1], 1, 1] : [1, x.shape[1]])
    let xhat = standardized(x, epsilon)
    let inverse = rsqrt(
      x.variance(axes: axes, correction: 0, keepingDimensions: true) + epsilon)
    let centred =
      dy - dy.mean(axes: axes, keepingDimensions: true)
      - xhat * (dy * xhat).mean(axes: axes, keepingDimensions: true)
    let plain = centred * inverse
    return gamma.map { plain * $0.reshaped(to: perChannel) } ?? plain
  }
}

/// Gradients of a backward formula of x, dy and perhaps γ, by writing it in primitive operations and
/// differentiating those.
///
/// - Parameter gamma: Which operand γ is.
func secondOrder(
  _ context: GradientContext, gamma: Int? = nil,
  _ formula: (_ x: Tensor, _ dy: Tensor, _ gamma: Tensor?) -> Tensor
) -> [Tensor?] {
  var gradients: [Tensor?] = context.operands.map { _ in nil }
  let indices = [0, 1] + (gamma.map { [$0] } ?? [])
  let found: [Tensor?]
  do {
    found = try gradient(
      of: {
        let operands = context.operands
        return (formula(operands[0], operands[1], gamma.map { operands[$0] }) * context.dy).sum()
      }, wrt: indices.map { context.operands[$0] })
  } catch {
    // Recording in a rule runs nothing, so nothing can fail; a zero here would hide that it did.
    preconditionFailure("batch_norm: \(error)")
  }
  for (index, gradient) in zip(indices, found) { gradients[index] = gradient }
  return gradients
}

private func standardized(_ x: Tensor, _ epsilon: Scalar) -> Tensor {
  let axes = x.rank == 4 ? [0, 2, 3] : [0]
  let centred = x - x.mean(axes: axes, keepingDimensions: true)
  return centred * rsqrt(x.variance(axes: axes, correction: 0, keepingDimensions: true) + epsilon)
}

extension Kernel {
  static let batchNormSums = Kernel(
    "batch_norm_sums", esp_batch_norm_sums_f32, esp_batch_norm_sums_f64)
  static let batchNormBackward = Kernel(
    "batch_norm_backward", esp_batch_norm_backward_f32, esp_batch_norm_backward_f64)
}
