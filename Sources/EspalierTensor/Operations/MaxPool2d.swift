import CKernels

/// Window, step and padding of a 2-D pool.
struct PoolGeometry: Hashable, Sendable {
  var kernelH: Int
  var kernelW: Int
  var strideH: Int
  var strideW: Int
  var padH: Int
  var padW: Int

  init(_ name: String, _ kernel: IntPair, _ stride: IntPair?, _ padding: IntPair) {
    let stride = stride ?? kernel
    precondition(
      kernel.height > 0 && kernel.width > 0 && stride.height > 0 && stride.width > 0
        && padding.height >= 0 && padding.width >= 0 && padding.height * 2 <= kernel.height
        && padding.width * 2 <= kernel.width,
      "\(name): kernel \(kernel), stride \(stride), padding \(padding); padding is at most half")
    (kernelH, kernelW) = (kernel.height, kernel.width)
    (strideH, strideW) = (stride.height, stride.width)
    (padH, padW) = (padding.height, padding.width)
  }

  func result(_ name: String, _ x: Shape) -> Shape {
    precondition(x.rank == 4, "\(name): \(x), needs [N, C, H, W]")
    let h = ConvolutionGeometry.output(x[2], kernelH, strideH, padH, 1)
    let w = ConvolutionGeometry.output(x[3], kernelW, strideW, padW, 1)
    precondition(
      h > 0 && w > 0, "\(name): input \(x) is smaller than the window [\(kernelH), \(kernelW)]")
    return [x[0], x[1], h, w]
  }
}

/// Results: the maxima and, for the backward, which element of the window each was.
struct MaxPool2d: Operation {
  static let stem = "max_pool2d"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let geometry: PoolGeometry

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    precondition(
      geometry.kernelH * geometry.kernelW <= 255, "maxPool2d: window of more than 255 pixels")
    let shape = geometry.result("maxPool2d", operands[0].shape)
    return [TensorType(shape, operands[0].dtype), TensorType(shape, .bool)]
  }

  func emit(into builder: inout LaunchBuilder) {
    let (x, y) = (builder.operandTypes[0].shape, builder.resultTypes[0].shape)
    builder.emit(
      .maxPool2d, builder.resultTypes[0].dtype,
      [builder.operand(0), builder.result(0), builder.result(1)], row: geometry.maxRow(x, y),
      openCL: .items(y[0] * y[2] * vectors(y[1])))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [
      record(
        MaxPool2dBackward(geometry: geometry, shape: context.operands[0].shape), context.dy,
        context.results[1])
    ]
  }
}

/// Operands: dy, index.
struct MaxPool2dBackward: Operation {
  static let stem = "max_pool2d"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let geometry: PoolGeometry
  let shape: Shape

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType(shape, operands[0].dtype)]
  }
  func isDifferentiable(at index: Int) -> Bool { index == 0 }

  func emit(into builder: inout LaunchBuilder) {
    builder.emit(
      .maxPool2dBackward, builder.resultTypes[0].dtype,
      [builder.operand(0), builder.operand(1), builder.result()],
      row: geometry.maxRow(shape, builder.operandTypes[0].shape),
      openCL: .items(shape[0] * shape[2] * vectors(shape[1])))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    preconditionFailure("max_pool2d: the gradient of its gradient does not exist here")
  }
}

extension PoolGeometry {
  func maxRow(_ x: Shape, _ y: Shape) -> esp_max_pool2d_row {
    var row = esp_max_pool2d_row()
    (row.n, row.c, row.h, row.w) = (Int32(x[0]), Int32(x[1]), Int32(x[2]), Int32(x[3]))
    (row.r, row.s, row.oh, row.ow) = (Int32(kernelH), Int32(kernelW), Int32(y[2]), Int32(y[3]))
    (row.stride_h, row.stride_w) = (Int32(strideH), Int32(strideW))
    (row.pad_h, row.pad_w) = (Int32(padH), Int32(padW))
    return row
  }
}

extension Kernel {
  static let maxPool2d = Kernel("max_pool2d", esp_max_pool2d_f32, esp_max_pool2d_f64)
  static let maxPool2dBackward = Kernel(
    "max_pool2d_backward", esp_max_pool2d_backward_f32, esp_max_pool2d_backward_f64)
}

/// The maximum of each window: `[N, C, H, W] → [N, C, H', W']`,
/// `H' = (H + 2·padding − kernelSize) / stride + 1`.
///
/// Padding never wins; of equal maxima the first in row-major order gets the gradient.
/// - Parameter stride: In pixels; by default the kernel's size.
public func maxPool2d(
  _ x: Tensor, kernelSize: IntPair, stride: IntPair? = nil, padding: IntPair = 0
) -> Tensor {
  recordAll(MaxPool2d(geometry: PoolGeometry("maxPool2d", kernelSize, stride, padding)), [x])[0]
}
