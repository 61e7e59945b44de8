import CKernels

/// ReLU, depthwise and pointwise convolution and the moments of the result, image by image.
///
/// Operands: x; where the input is normalised on load its mean and variance; the depthwise weight
/// if there is one; the pointwise weight. Results: y, mean, variance. Scalar: ε of the input's batch
/// norm.
struct ReluDepthwisePointwise: Operation {
  static let stem = "relu_depthwise_pointwise"
  static let takesConvolutionWeights = true
  let shape: FusedConvolutionShape

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let x = operands[0]
    let k = operands[shape.pointwiseIndex].shape[0]
    let moments = TensorType([k], x.dtype)
    return [TensorType(shape.result(x.shape, k), x.dtype), moments, moments]
  }
  func requiredLayout(at index: Int) -> LayoutRequirement {
    index >= shape.weightsIndex ? .convolutionWeight : .standard
  }

  func emit(into builder: inout LaunchBuilder) {
    let x = builder.operandTypes[0].shape
    let y = builder.resultTypes[0].shape
    var row = esp_relu_depthwise_pointwise_row()
    let workspace = builder.workspace(2 * x[0] * y[1], .float64)
    (row.n, row.c, row.h, row.w) = (Int32(x[0]), Int32(x[1]), Int32(x[2]), Int32(x[3]))
    (row.k, row.oh, row.ow) = (Int32(y[1]), Int32(y[2]), Int32(y[3]))
    (row.r, row.s) = (Int32(shape.kernelH), Int32(shape.kernelW))
    (row.stride, row.pad, row.dilation) = (
      Int32(shape.stride), Int32(shape.pad), Int32(shape.dilation)
    )
    builder.emit(
      .reluDepthwisePointwise, .float32,
      shape.inputs(builder) + [
        builder.result(0), builder.result(1), builder.result(2), workspace,
      ], scalars: [builder.scalars[0]], row: row, openCL: shape.openCLForward(y))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    preconditionFailure("\(Self.stem): fused operations are differentiated before they are fused")
  }
}

/// The backward of the same, through the batch norm of y.
///
/// Operands: those of the forward, then y, mean, variance and sums of the batch norm, γ if it is
/// affine, and the upstream gradient. Results: dx if wanted, then the weights' gradients if wanted.
/// Scalars: ε of the input's batch norm and of y's.
struct ReluDepthwisePointwiseBackward: Operation {
  static let stem = "relu_depthwise_pointwise"
  static let takesConvolutionWeights = true
  let shape: FusedConvolutionShape
  let isAffine: Bool
  let wantsInput: Bool
  let wantsWeights: Bool

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    var types: [TensorType] = wantsInput ? [operands[0]] : []
    if wantsWeights { types += operands[shape.weightsIndex...shape.pointwiseIndex] }
    return types
  }
  func requiredLayout(at index: Int) -> LayoutRequirement {
    index >= shape.weightsIndex && index <= shape.pointwiseIndex ? .convolutionWeight : .standard
  }

  func emit(into builder: inout LaunchBuilder) {
    let x = builder.operandTypes[0].shape
    let first = shape.pointwiseIndex + 1
    let y = builder.operandTypes[first].shape
    var row = esp_relu_depthwise_pointwise_backward_row()
    (row.n, row.c, row.h, row.w) = (Int32(x[0]), Int32(x[1]), Int32(x[2]), Int32(x[3]))
    (row.k, row.oh, row.ow) = (Int32(y[1]), Int32(y[2]), Int32(y[3]))
    (row.r, row.s) = (Int32(shape.kernelH), Int32(shape.kernelW))
    (row.stride, row.pad, row.dilation) = (
      Int32(shape.stride), Int32(shape.pad), Int32(shape.dilation)
    )
    let weights = shape.kernelH * shape.kernelW * x[1] + x[1] * y[1]
    let groups = max(1, min(x[0], Int(ESP_WEIGHT_GROUPS)))
    let scratch = builder.hasThreadScratch ? 0 : shape.openCLScratch(x, y)
    let floats = scratch + (wantsWeights ? groups * weights : 0)
    let workspace = floats > 0 ? builder.workspace(floats, .float32) : .absent
    var results = (0..<builder.resultTypes.count).map { builder.result($0) }
    let dx = wantsInput ? results.removeFirst() : .absent
    let dwd = wantsWeights && shape.hasDepthwise ? results.removeFirst() : .absent
    let dwp = wantsWeights ? results.removeFirst() : .absent
    var index = first
    func next() -> Operand {
      defer { index += 1 }
      return builder.operand(index)
    }
    let (result, mean, variance, sums) = (next(), next(), next(), next())
    let gamma = isAffine ? next() : .absent
    let upstream = next()
    builder.emit(
      .reluDepthwisePointwiseBackward, .float32,
      shape.inputs(builder) + [
        result, mean, variance, gamma, sums, upstream, dx, dwd, dwp, workspace,
      ], scalars: [builder.scalars[0], builder.scalars[1]], row: row,
      openCL: shape.openCLBackward(x, y, wantsWeights: wantsWeights))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    preconditionFailure("\(Self.stem): fused operations are differentiated before they are fused")
  }
}

/// What both directions share: which operands there are, and the depthwise kernel.
struct FusedConvolutionShape: Hashable, Sendable {
  var hasInputMoments: Bool
  var hasDepthwise: Bool
  var kernelH = 1
  var kernelW = 1
  var stride = 1
  var pad = 0
  var dilation = 1

  var weightsIndex: Int { hasInputMoments ? 3 : 1 }
  var pointwiseIndex: Int { weightsIndex + (hasDepthwise ? 1 : 0) }

  func result(_ x: Shape, _ k: Int) -> Shape {
    [
      x[0], k, ConvolutionGeometry.output(x[2], kernelH, stride, pad, dilation),
      ConvolutionGeometry.output(x[3], kernelW, stride, pad, dilation),
    ]
  }

  /// Input, its moments and the weights, in the order of the rows.
  func inputs(_ builder: LaunchBuilder) -> [Operand] {
    [
      builder.operand(0), hasInputMoments ? builder.operand(1) : .absent,
      hasInputMoments ? builder.operand(2) : .absent,
      hasDepthwise ? builder.operand(weightsIndex) : .absent, builder.operand(pointwiseIndex),
    ]
  }
}

extension Kernel {
  static let reluDepthwisePointwise = Kernel(
    "relu_depthwise_pointwise", esp_relu_depthwise_pointwise_f32, nil)
  static let reluDepthwisePointwiseBackward = Kernel(
    "relu_depthwise_pointwise_backward", esp_relu_depthwise_pointwise_backward_f32, nil)
}
