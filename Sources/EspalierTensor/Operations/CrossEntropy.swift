import CKernels

/// Cross-entropy of logits with integer labels, one loss a sample.
struct CrossEntropy: Operation {
  static let stem = "cross_entropy"

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let (logits, labels) = (operands[0], operands[1])
    precondition(
      logits.shape.rank == 2 && labels.shape.rank == 1 && logits.shape[0] == labels.shape[0]
        && labels.dtype == .int32,
      "crossEntropy: logits \(logits), labels \(labels); needs [N, classes] and int32 [N]")
    return [TensorType([logits.shape[0]], logits.dtype)]
  }
  func isDifferentiable(at index: Int) -> Bool { index == 0 }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    var row = esp_cross_entropy_row()
    row.samples = Int32(type.shape[0])
    row.classes = Int32(type.shape[1])
    builder.emit(
      .crossEntropy, type.dtype, [builder.operand(0), builder.operand(1), builder.result()],
      scalars: builder.scalars, row: row,
      openCL: .items(type.shape[0]))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [
      record(
        CrossEntropyBackward(), context.operands[0], context.operands[1], context.dy,
        scalars: context.scalars), nil,
    ]
  }
}

/// Operands: logits, labels, upstream gradient `[N]`.
struct CrossEntropyBackward: Operation {
  static let stem = "cross_entropy"

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }
  func isDifferentiable(at index: Int) -> Bool { index != 1 }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    var row = esp_cross_entropy_backward_row()
    row.samples = Int32(type.shape[0])
    row.classes = Int32(type.shape[1])
    builder.emit(
      .crossEntropyBackward, type.dtype,
      [builder.operand(0), builder.operand(1), builder.operand(2), builder.result()],
      scalars: builder.scalars, row: row,
      openCL: .items(type.shape[0]))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    // dlogits = (p − t)·dloss
    let (logits, labels, dloss) = (context.operands[0], context.operands[1], context.operands[2])
    let g = context.dy
    let weighted = g * dloss.expandingShape(at: 1)
    let ones = dloss.onesLike()
    return [
      record(SoftmaxBackward(axis: 1, isLogarithm: false), softmax(logits), weighted), nil,
      (g * record(CrossEntropyBackward(), logits, labels, ones, scalars: context.scalars))
        .sum(axes: [1]),
    ]
  }
}

extension Kernel {
  static let crossEntropy = Kernel(
    "cross_entropy", esp_cross_entropy_f32, esp_cross_entropy_f64)
  static let crossEntropyBackward = Kernel(
    "cross_entropy_backward", esp_cross_entropy_backward_f32, esp_cross_entropy_backward_f64)
}

/// The mean cross-entropy of logits with integer labels.
///
/// `−Σ_c t_c · log softmax(logits)_c` with `t = (1 − s)·onehot + s / classes`, averaged over samples.
/// - Parameters:
///   - logits: `[N, classes]`.
///   - labels: int32 `[N]`; a label outside the classes gives NaN.
///   - labelSmoothing: `s`, in [0, 1).
/// - Returns: A scalar.
public func crossEntropy(_ logits: Tensor, _ labels: Tensor, labelSmoothing: Float = 0) -> Tensor {
  record(CrossEntropy(), logits, labels, scalars: [Scalar(labelSmoothing)]).mean()
}

/// The mean of `(a − b)²` over all elements.
public func meanSquaredError(_ a: Tensor, _ b: Tensor) -> Tensor {
  precondition(a.shape == b.shape, "meanSquaredError: \(a.shape) and \(b.shape)")
  return square(a - b).mean()
}

/// `Σ p · (log p − log q)` averaged over the first axis, given logarithms of both.
public func klDivergence(logTarget p: Tensor, logPrediction q: Tensor) -> Tensor {
  precondition(p.shape == q.shape, "klDivergence: \(p.shape) and \(q.shape)")
  return (exp(p) * (p - q)).sum() / max(p.shape[0], 1)
}
