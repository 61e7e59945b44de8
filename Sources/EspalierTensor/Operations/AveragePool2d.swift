import CKernels

/// The mean of each window.
struct AveragePool2d: Operation {
  static let stem = "avg_pool2d"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let geometry: PoolGeometry
  let countsPadding: Bool

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType(geometry.result("averagePool2d", operands[0].shape), operands[0].dtype)]
  }

  func emit(into builder: inout LaunchBuilder) {
    let (x, y) = (builder.operandTypes[0].shape, builder.resultTypes[0].shape)
    builder.emit(
      .averagePool2d, builder.resultTypes[0].dtype, [builder.operand(0), builder.result()],
      row: geometry.averageRow(x, y, countsPadding),
      openCL: .items(y[0] * y[2] * vectors(y[1])))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [
      record(
        AveragePool2dBackward(
          geometry: geometry, countsPadding: countsPadding, shape: context.operands[0].shape),
        context.dy)
    ]
  }
}

/// Operand: dy.
struct AveragePool2dBackward: Operation {
  static let stem = "avg_pool2d"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let geometry: PoolGeometry
  let countsPadding: Bool
  let shape: Shape

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType(shape, operands[0].dtype)]
  }

  func emit(into builder: inout LaunchBuilder) {
    builder.emit(
      .averagePool2dBackward, builder.resultTypes[0].dtype,
      [builder.operand(0), builder.result()],
      row: geometry.averageRow(shape, builder.operandTypes[0].shape, countsPadding),
      openCL: .items(shape[0] * shape[2] * vectors(shape[1])))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [record(AveragePool2d(geometry: geometry, countsPadding: countsPadding), context.dy)]
  }
}

extension PoolGeometry {
  func averageRow(_ x: Shape, _ y: Shape, _ countsPadding: Bool) -> esp_avg_pool2d_row {
    var row = esp_avg_pool2d_row()
    (row.n, row.c, row.h, row.w) = (Int32(x[0]), Int32(x[1]), Int32(x[2]), Int32(x[3]))
    (row.r, row.s, row.oh, row.ow) = (Int32(kernelH), Int32(kernelW), Int32(y[2]), Int32(y[3]))
    (row.stride_h, row.stride_w) = (Int32(strideH), Int32(strideW))
    (row.pad_h, row.pad_w) = (Int32(padH), Int32(padW))
    row.count_include_pad = countsPadding ? 1 : 0
    return row
  }
}

extension Kernel {
  static let averagePool2d = Kernel("avg_pool2d", esp_avg_pool2d_f32, esp_avg_pool2d_f64)
  static let averagePool2dBackward = Kernel(
    "avg_pool2d_backward", esp_avg_pool2d_backward_f32, esp_avg_pool2d_backward_f64)
}

/// The mean of each window: `[N, C, H, W] → [N, C, H', W']`,
/// `H' = (H + 2·padding − kernelSize) / stride + 1`.
///
/// - Parameters:
///   - stride: In pixels; by default the kernel's size.
///   - countIncludePad: Whether padding counts in the divisor (PyTorch's default; DARTS says no).
public func averagePool2d(
  _ x: Tensor, kernelSize: IntPair, stride: IntPair? = nil, padding: IntPair = 0,
  countIncludePad: Bool = true
) -> Tensor {
  record(
    AveragePool2d(
      geometry: PoolGeometry("averagePool2d", kernelSize, stride, padding),
      countsPadding: countIncludePad), x)
}
