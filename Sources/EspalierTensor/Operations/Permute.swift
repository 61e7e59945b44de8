/// Axes in another order.
struct Permute: Operation {
  static let stem = "permute"
  let axes: [Int]

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    precondition(
      axes.sorted() == Array(0..<operands[0].shape.rank),
      "permute: axes \(axes) are no order of \(operands[0].shape)")
    return [TensorType(Shape(axes.map { operands[0].shape[$0] }), operands[0].dtype)]
  }

  func emit(into builder: inout LaunchBuilder) {
    let (from, to) = (builder.operandTypes[0], builder.resultTypes[0])
    let order = to.memoryOrder
    builder.emitCopy(
      sizes: order.map { to.shape[$0] }, from: order.map { from.strides[axes[$0]] },
      to: order.map { to.strides[$0] }, dtype: to.dtype)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    var inverse = axes
    for (index, axis) in axes.enumerated() { inverse[axis] = index }
    return [record(Permute(axes: inverse), context.dy)]
  }
}

extension Tensor {
  /// The tensor with its axes in the given order.
  public func permuted(_ axes: [Int]) -> Tensor {
    record(Permute(axes: axes.map { shape.normalized($0) }), self)
  }

  /// The tensor with its last two axes exchanged.
  public func transposed() -> Tensor {
    precondition(rank >= 2, "transpose: \(shape) has fewer than two dimensions")
    return permuted(Array(0..<rank - 2) + [rank - 1, rank - 2])
  }
}
