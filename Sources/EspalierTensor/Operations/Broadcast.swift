/// Sizes of 1 repeated to a larger shape.
struct Broadcast: Operation {
  static let stem = "broadcast"
  let shape: Shape

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    precondition(
      operands[0].shape.broadcast(with: shape) == shape,
      "broadcast: \(operands[0].shape) does not broadcast to \(shape)")
    return [TensorType(shape, operands[0].dtype)]
  }

  func emit(into builder: inout LaunchBuilder) {
    let to = builder.resultTypes[0]
    let order = to.memoryOrder
    let strides = builder.operandTypes[0].strides(broadcastTo: shape)
    builder.emitCopy(
      sizes: order.map { to.shape[$0] }, from: order.map { strides[$0] },
      to: order.map { to.strides[$0] }, dtype: to.dtype)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [sum(context.dy, to: context.operands[0].shape)]
  }
}

extension Tensor {
  /// The tensor repeated along axes of size 1 (and new leading ones) to `shape`.
  public func broadcast(to shape: Shape) -> Tensor {
    shape == self.shape ? self : record(Broadcast(shape: shape), self)
  }
}
