/// Tensors one after another along an axis.
struct Concatenate: Joins {
  static let stem = "concatenate"
  static let readsPixelStride = true
  let axis: Int

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    var shape = operands[0].shape
    for other in operands.dropFirst() {
      var expected = operands[0].shape
      precondition(
        other.shape.rank == expected.rank, "concatenate: \(expected) and \(other.shape)")
      expected[axis] = other.shape[axis]
      precondition(
        other.shape == expected && other.dtype == operands[0].dtype,
        "concatenate: \(operands[0]) and \(other) along axis \(axis)")
      shape[axis] += other.shape[axis]
    }
    return [TensorType(shape, operands[0].dtype)]
  }

  func emit(into builder: inout LaunchBuilder) {
    let to = builder.resultTypes[0]
    let order = to.memoryOrder
    var start = 0
    for (index, from) in builder.operandTypes.enumerated() {
      defer { start += from.shape[axis] }
      if builder.isPlaced[index] { continue }
      let strides = builder.strides(ofOperand: index)
      builder.emitCopy(
        operand: index, sizes: order.map { from.shape[$0] }, from: order.map { strides[$0] },
        to: order.map { to.strides[$0] }, dtype: to.dtype, toOffset: start * to.strides[axis])
    }
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    var start = 0
    return context.operands.enumerated().map { index, operand in
      let range = start..<start + operand.shape[axis]
      start = range.upperBound
      return context.isWanted[index] ? context.dy.slice(range, axis: axis) : nil
    }
  }
}

/// The tensors one after another along `axis`; sizes of all other axes agree.
public func concatenate(_ tensors: [Tensor], axis: Int = 1) -> Tensor {
  precondition(!tensors.isEmpty, "concatenate: no tensors")
  if tensors.count == 1 { return tensors[0] }
  return recordAll(Concatenate(axis: tensors[0].shape.normalized(axis)), tensors)[0]
}

/// Equal shapes stacked along a new axis.
public func stack(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
  concatenate(tensors.map { $0.expandingShape(at: axis) }, axis: axis)
}
