import CKernels

/// Softmax or its logarithm along an axis.
struct Softmax: Operation {
  static let stem = "softmax"
  let axis: Int
  let isLogarithm: Bool

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    precondition(operands[0].dtype.isFloatingPoint, "softmax: operand is \(operands[0])")
    return [operands[0]]
  }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    let (outer, size, inner) = type.memorySplit(at: axis)
    var row = esp_softmax_row()
    row.outer = Int32(outer)
    row.size = Int32(size)
    row.inner = Int32(inner)
    row.logarithm = isLogarithm ? 1 : 0
    builder.emit(
      .softmax, type.dtype, [builder.operand(0), builder.result()], row: row,
      openCL: .items(outer * vectors(inner)))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [record(SoftmaxBackward(axis: axis, isLogarithm: isLogarithm), context.results[0], context.dy)]
  }
}

/// Operands: the softmax's result and its upstream gradient.
struct SoftmaxBackward: Operation {
  static let stem = "softmax"
  let axis: Int
  let isLogarithm: Bool

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    let (outer, size, inner) = type.memorySplit(at: axis)
    var row = esp_softmax_backward_row()
    row.outer = Int32(outer)
    row.size = Int32(size)
    row.inner = Int32(inner)
    row.logarithm = isLogarithm ? 1 : 0
    builder.emit(
      .softmaxBackward, type.dtype, [builder.operand(0), builder.operand(1), builder.result()],
      row: row, openCL: .items(outer * vectors(inner)))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let (y, dy) = (context.operands[0], context.operands[1])
    let g = context.dy
    func total(_ x: Tensor) -> Tensor { x.sum(axes: [axis], keepingDimensions: true) }
    if isLogarithm {
      // dx = dy − eʸ·Σdy
      let p = exp(y)
      return [-(g * p * total(dy)), g - total(g * p)]
    }
    // dx = y·(dy − Σ dy·y)
    return [g * (dy - total(dy * y)) - dy * total(g * y), y * (g - total(g * y))]
  }
}

extension TensorType {
  /// Elements before, along and after an axis in memory order.
  func memorySplit(at axis: Int) -> (outer: Int, size: Int, inner: Int) {
    let order = memoryOrder
    var (outer, inner) = (1, 1)
    var isPast = false
    for a in order {
      if a == axis { isPast = true } else if isPast { inner *= shape[a] } else { outer *= shape[a] }
    }
    return (outer, shape[axis], inner)
  }
}

extension Kernel {
  static let softmax = Kernel("softmax", esp_softmax_f32, esp_softmax_f64)
  static let softmaxBackward = Kernel(
    "softmax_backward", esp_softmax_backward_f32, esp_softmax_backward_f64)
}

/// `eˣ / Σ eˣ` along an axis.
public func softmax(_ x: Tensor, axis: Int = -1) -> Tensor {
  record(Softmax(axis: x.shape.normalized(axis), isLogarithm: false), x)
}

/// `log softmax(x)` along an axis.
public func logSoftmax(_ x: Tensor, axis: Int = -1) -> Tensor {
  record(Softmax(axis: x.shape.normalized(axis), isLogarithm: true), x)
}
