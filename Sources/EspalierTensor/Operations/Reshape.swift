/// The same elements, in logical (NCHW) order, under another shape.
struct Reshape: Operation {
  static let stem = "reshape"
  let shape: Shape

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    precondition(
      operands[0].shape.count == shape.count,
      "reshape: \(operands[0].shape) has \(operands[0].shape.count) elements, \(shape) has \(shape.count)"
    )
    return [TensorType(shape, operands[0].dtype)]
  }

  func emit(into builder: inout LaunchBuilder) {
    let (from, to) = (builder.operandTypes[0], builder.resultTypes[0])
    let movesNothing = (from.isLogicallyOrdered && to.isLogicallyOrdered) || from == to
    if movesNothing && builder.alias() { return }
    let count = from.shape.count
    if movesNothing || count == 0 {
      builder.emitCopy(sizes: [count], from: [1], to: [1], dtype: from.dtype)
    } else if to.isLogicallyOrdered {
      // [N, H, W, C] in memory → logical order.
      builder.emitCopy(
        sizes: from.shape.dimensions, from: from.strides, to: rowMajor(from.shape),
        dtype: from.dtype)
    } else if from.isLogicallyOrdered {
      builder.emitCopy(
        sizes: to.shape.dimensions, from: rowMajor(to.shape), to: to.strides, dtype: from.dtype)
    } else {
      let between = builder.workspace(count, from.dtype)
      builder.emitCopy(
        builder.operand(0), between, sizes: from.shape.dimensions, from: from.strides,
        to: rowMajor(from.shape), dtype: from.dtype)
      builder.emitCopy(
        between, builder.result(), sizes: to.shape.dimensions, from: rowMajor(to.shape),
        to: to.strides, dtype: from.dtype)
    }
  }

  private func rowMajor(_ shape: Shape) -> [Int] {
    var result = [Int](repeating: 1, count: shape.rank)
    for axis in stride(from: shape.rank - 2, through: 0, by: -1) {
      result[axis] = result[axis + 1] * shape[axis + 1]
    }
    return result
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [context.dy.reshaped(to: context.operands[0].shape)]
  }
}

extension Tensor {
  /// The same elements under another shape, in the order of `[N, C, H, W]`.
  ///
  /// - Parameter shape: One size may be −1: it is then computed.
  /// - Precondition: The number of elements stays.
  public func reshaped(to shape: [Int]) -> Tensor {
    var sizes = shape
    if let free = sizes.firstIndex(of: -1) {
      let known = sizes.filter { $0 >= 0 }.reduce(1, *)
      precondition(
        known > 0 && self.shape.count % known == 0, "reshape: \(self.shape) does not fit \(shape)")
      sizes[free] = self.shape.count / known
    }
    return reshaped(to: Shape(sizes))
  }

  /// The same elements under another shape, in the order of `[N, C, H, W]`.
  public func reshaped(to shape: Shape) -> Tensor {
    shape == self.shape && value.type.layout == .standard
      ? self : record(Reshape(shape: shape), self)
  }

  /// Dimensions from `axis` on merged into one: `[N, C, H, W]` from 1 is `[N, C·H·W]`.
  public func flattened(from axis: Int = 1) -> Tensor {
    let axis = shape.normalized(axis)
    let front = Array(shape.dimensions[..<axis])
    return reshaped(to: front + [shape.dimensions[axis...].reduce(1, *)])
  }

  /// The tensor with a dimension of size 1 inserted before `axis`.
  public func expandingShape(at axis: Int) -> Tensor {
    var sizes = shape.dimensions
    sizes.insert(1, at: axis < 0 ? axis + rank + 1 : axis)
    return reshaped(to: Shape(sizes))
  }

  /// The tensor without the given dimension of size 1.
  public func squeezingShape(at axis: Int) -> Tensor {
    let axis = shape.normalized(axis)
    precondition(shape[axis] == 1, "squeeze: axis \(axis) of \(shape) is not 1")
    var sizes = shape.dimensions
    sizes.remove(at: axis)
    return reshaped(to: Shape(sizes))
  }
}
