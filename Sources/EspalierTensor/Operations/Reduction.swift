import CKernels

/// A reduction over some axes.
struct Reduction: Operation {
  enum Kind: UInt32, Sendable {
    case sum, mean, max, argmax, variance
  }

  static let stem = "reduce"
  let kind: Kind
  /// Sorted, counted from the front.
  let axes: [Int]
  let keepsDimensions: Bool
  /// Variance divides by count − correction.
  let correction: Int32

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let shape = operands[0].shape
    precondition(operands[0].dtype.isFloatingPoint, "\(kind): operand is \(operands[0])")
    precondition(
      kind == .sum || axes.allSatisfy { shape[$0] > 0 },
      "\(kind): axes \(axes) of \(shape) are empty")
    var sizes: [Int] = []
    for axis in 0..<shape.rank {
      if !axes.contains(axis) {
        sizes.append(shape[axis])
      } else if keepsDimensions {
        sizes.append(1)
      }
    }
    return [TensorType(Shape(sizes), kind == .argmax ? .int32 : operands[0].dtype)]
  }
  func isDifferentiable(at index: Int) -> Bool { kind != .argmax }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    let result = builder.resultTypes[0]
    if type.shape.count == 0 {
      // The sum of nothing: an empty batch's bias has a zero gradient.
      return builder.emitFill(builder.result(), result, Scalar.bits(0))
    }
    // The kept axes in the result's memory order, so that it is dense.
    var kept: [Int] = []
    if keepsDimensions {
      kept = result.memoryOrder.filter { !axes.contains($0) }
    } else {
      let left = (0..<type.shape.rank).filter { !axes.contains($0) }
      kept = result.memoryOrder.map { left[$0] }
    }
    // Reduced axes: memory order, except that argmax counts in logical order.
    let reduced = kind == .argmax ? axes : type.memoryOrder.filter { axes.contains($0) }
    var keptView = StridedView(
      sizes: kept.map { type.shape[$0] }, strides: [kept.map { type.strides[$0] }])
    var reducedView = StridedView(
      sizes: reduced.map { type.shape[$0] }, strides: [reduced.map { type.strides[$0] }])
    keptView.collapse()
    reducedView.collapse()
    var row = esp_reduce_row()
    row.kind = Int32(kind.rawValue)
    row.correction = correction
    row.kept = four(keptView.sizes, 1)
    row.kept_stride = four(keptView.strides[0], 0)
    row.reduced = four(reducedView.sizes, 1)
    row.reduced_stride = four(reducedView.strides[0], 0)
    builder.emit(
      .reduce, type.dtype, [builder.operand(0), builder.result()], row: row,
      openCL: .items(vectors(result.shape.count)))
  }

  private func four(_ list: [Int], _ padding: Int) -> (Int32, Int32, Int32, Int32) {
    precondition(list.count <= 4, "\(kind): more than four separate axes")
    let all = [Int](repeating: padding, count: 4 - list.count) + list
    return (Int32(all[0]), Int32(all[1]), Int32(all[2]), Int32(all[3]))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let x = context.operands[0]
    var shape = x.shape
    for axis in axes { shape[axis] = 1 }
    let dy = context.dy.reshaped(to: shape)
    let count = axes.reduce(1) { $0 * x.shape[$1] }
    switch kind {
    case .sum: return [dy.broadcast(to: x.shape)]
    case .mean: return [(dy * Scalar(1 / Float(count))).broadcast(to: x.shape)]
    case .variance:
      let scale = Scalar(2 / Float(count - Int(correction)))
      return [(x - x.mean(axes: axes, keepingDimensions: true)) * (dy * scale)]
    case .max:
      // As PyTorch's amax: equal maxima share the gradient.
      let isMaximum = (x .== context.results[0].reshaped(to: shape)).cast(to: x.dtype)
      return [isMaximum * (dy / isMaximum.sum(axes: axes, keepingDimensions: true))]
    case .argmax: return [nil]
    }
  }
}

extension Kernel {
  static let reduce = Kernel("reduce", esp_reduce_f32, esp_reduce_f64)
}

extension Tensor {
  private func reduced(
    _ kind: Reduction.Kind, _ axes: [Int]?, _ keepingDimensions: Bool, correction: Int = 0
  ) -> Tensor {
    let list = Set((axes ?? Array(0..<rank)).map { shape.normalized($0) }).sorted()
    return record(
      Reduction(
        kind: kind, axes: list, keepsDimensions: keepingDimensions, correction: Int32(correction)),
      self)
  }

  /// The sum over the axes; over all of them by default.
  public func sum(axes: [Int]? = nil, keepingDimensions: Bool = false) -> Tensor {
    reduced(.sum, axes, keepingDimensions)
  }
  /// The mean over the axes; over all of them by default.
  public func mean(axes: [Int]? = nil, keepingDimensions: Bool = false) -> Tensor {
    reduced(.mean, axes, keepingDimensions)
  }
  /// The maximum over the axes; equal maxima share the gradient.
  public func max(axes: [Int]? = nil, keepingDimensions: Bool = false) -> Tensor {
    reduced(.max, axes, keepingDimensions)
  }
  /// The variance over the axes, divided by count − correction.
  public func variance(axes: [Int]? = nil, correction: Int = 1, keepingDimensions: Bool = false)
    -> Tensor
  {
    reduced(.variance, axes, keepingDimensions, correction: correction)
  }
  /// The index of the first maximum along an axis, int32.
  public func argmax(axis: Int = -1) -> Tensor { reduced(.argmax, [axis], false) }
}

/// The mean over height and width: `[N, C, H, W]` → `[N, C, 1, 1]`.
public func globalAveragePool2d(_ x: Tensor) -> Tensor {
  precondition(x.rank == 4, "globalAveragePool2d: \(x.shape), needs [N, C, H, W]")
  return x.mean(axes: [2, 3], keepingDimensions: true)
}
