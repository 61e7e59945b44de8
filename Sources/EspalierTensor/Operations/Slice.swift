/// Every `step`-th element of a range along each axis.
struct StridedSlice: TakesPart {
  static let stem = "slice"
  static let readsPixelStride = true
  let starts: [Int]
  let sizes: [Int]
  let steps: [Int]

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let shape = operands[0].shape
    precondition(starts.count == shape.rank, "slice: \(starts.count) ranges for \(shape)")
    for axis in 0..<shape.rank {
      let last = starts[axis] + (sizes[axis] - 1) * steps[axis]
      precondition(
        starts[axis] >= 0 && steps[axis] > 0 && sizes[axis] >= 0
          && (sizes[axis] == 0 || last < shape[axis]),
        "slice: start \(starts), size \(sizes), step \(steps) leave \(shape)")
    }
    return [TensorType(Shape(sizes), operands[0].dtype)]
  }

  func firstChannel(of whole: Shape) -> Int? {
    let isOfChannels =
      whole.rank == 4 && steps.allSatisfy { $0 == 1 }
      && [0, 2, 3].allSatisfy { sizes[$0] == whole[$0] }
    return isOfChannels ? starts[1] : nil
  }

  func emit(into builder: inout LaunchBuilder) {
    if builder.isView { return }
    let (from, to) = (builder.strides(ofOperand: 0), builder.resultTypes[0])
    let order = to.memoryOrder
    let offset = starts.indices.reduce(0) { $0 + starts[$1] * from[$1] }
    builder.emitCopy(
      sizes: order.map { to.shape[$0] }, from: order.map { from[$0] * steps[$0] },
      to: order.map { to.strides[$0] }, dtype: to.dtype, fromOffset: offset)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [record(Scatter(starts: starts, steps: steps, shape: context.operands[0].shape), context.dy)]
  }
}

/// Zeros of a shape with the operand placed into them: pad, and the gradient of a slice.
struct Scatter: Operation {
  static let stem = "pad"
  let starts: [Int]
  let steps: [Int]
  let shape: Shape

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    precondition(operands[0].shape.rank == shape.rank, "pad: \(operands[0].shape) into \(shape)")
    return [TensorType(shape, operands[0].dtype)]
  }

  func emit(into builder: inout LaunchBuilder) {
    let (from, to) = (builder.operandTypes[0], builder.resultTypes[0])
    builder.emitFill(builder.result(), to, builder.scalars.first ?? Scalar.bits(0))
    let order = from.memoryOrder
    let offset = starts.indices.reduce(0) { $0 + starts[$1] * to.strides[$1] }
    builder.emitCopy(
      sizes: order.map { from.shape[$0] }, from: order.map { from.strides[$0] },
      to: order.map { to.strides[$0] * steps[$0] }, dtype: to.dtype, toOffset: offset)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [
      record(
        StridedSlice(
          starts: starts, sizes: context.operands[0].shape.dimensions, steps: steps), context.dy)
    ]
  }
}

extension Tensor {
  /// The elements `starts[a] + i · steps[a]`, `i < sizes[a]`, along each axis `a`.
  public func slice(starts: [Int], sizes: [Int], steps: [Int]? = nil) -> Tensor {
    record(
      StridedSlice(
        starts: starts, sizes: sizes, steps: steps ?? [Int](repeating: 1, count: rank)), self)
  }

  /// The range along one axis, every `step`-th element.
  public func slice(_ range: Range<Int>, axis: Int, step: Int = 1) -> Tensor {
    let axis = shape.normalized(axis)
    precondition(step > 0, "slice: step \(step)")
    var starts = [Int](repeating: 0, count: rank)
    var sizes = shape.dimensions
    var steps = [Int](repeating: 1, count: rank)
    starts[axis] = range.lowerBound
    sizes[axis] = (range.count + step - 1) / step
    steps[axis] = step
    return slice(starts: starts, sizes: sizes, steps: steps)
  }

  /// The tensor with `value` added around it.
  ///
  /// - Parameter padding: Elements before and after, for each axis.
  public func padded(
    _ padding: [(before: Int, after: Int)], with value: some ScalarValue = Float(0)
  ) -> Tensor {
    precondition(
      padding.count == rank && padding.allSatisfy { $0.before >= 0 && $0.after >= 0 },
      "pad: \(padding) for \(shape), needs a pair of sizes for each axis")
    let sizes = zip(shape.dimensions, padding).map { $0 + $1.before + $1.after }
    return record(
      Scatter(
        starts: padding.map(\.before), steps: [Int](repeating: 1, count: rank),
        shape: Shape(sizes)), self, scalars: [value.scalar])
  }
}
