import CKernels

/// 2-D convolution.
///
/// Operands: x `[N, C, H, W]`, weight `[K, C / groups, R, S]`.
struct Conv2d: Operation {
  static let stem = "conv2d"
  static let readsPixelStride = true
  static let writesPixelStride = true
  static let takesConvolutionWeights = true
  let geometry: ConvolutionGeometry

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let (x, w) = (operands[0].shape, operands[1].shape)
    let g = geometry
    precondition(
      x.rank == 4 && w.rank == 4 && operands[0].dtype == operands[1].dtype,
      "conv2d: input \(operands[0]), weight \(operands[1]); needs [N, C, H, W] and [K, C/g, R, S]")
    precondition(
      x[1] == w[1] * g.groups && w[0] % g.groups == 0,
      "conv2d: input \(x) has \(x[1]) channels, weight \(w) expects \(w[1]) × groups \(g.groups)")
    let h = ConvolutionGeometry.output(x[2], w[2], g.strideH, g.padH, g.dilationH)
    let width = ConvolutionGeometry.output(x[3], w[3], g.strideW, g.padW, g.dilationW)
    precondition(
      h > 0 && width > 0,
      "conv2d: input \(x) is smaller than weight \(w) with dilation \(g.dilationH), padding \(g.padH)"
    )
    return [TensorType([x[0], w[0], h, width], operands[0].dtype)]
  }
  func requiredLayout(at index: Int) -> LayoutRequirement {
    index == 1 ? .convolutionWeight : .standard
  }
  func multiplyAdds(_ operands: [Shape], _ results: [Shape]) -> Int {
    results[0].count * operands[1][1] * operands[1][2] * operands[1][3]
  }

  func emit(into builder: inout LaunchBuilder) {
    let x = builder.operandTypes[0].shape
    let w = builder.operandTypes[1].shape
    let y = builder.resultTypes[0].shape
    let row = geometry.row(x, w, y)
    builder.emit(
      .conv2d, builder.resultTypes[0].dtype,
      [builder.operand(0), builder.operand(1), builder.result()], row: row,
      openCL: geometry.openCLCall(.forward, x, w, y))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let (x, w) = (context.operands[0], context.operands[1])
    return [
      context.isWanted[0]
        ? record(Conv2dBackwardInput(geometry: geometry, shape: x.shape), context.dy, w) : nil,
      context.isWanted[1]
        ? record(Conv2dBackwardWeight(geometry: geometry, shape: w.shape), x, context.dy) : nil,
    ]
  }
}

/// The gradient towards the input.
///
/// Operands: dy `[N, K, H', W']`, weight.
struct Conv2dBackwardInput: Operation {
  static let stem = "conv2d"
  static let readsPixelStride = true
  static let writesPixelStride = true
  static let takesConvolutionWeights = true
  let geometry: ConvolutionGeometry
  let shape: Shape

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType(shape, operands[0].dtype)]
  }
  func requiredLayout(at index: Int) -> LayoutRequirement {
    index == 1 ? .convolutionWeight : .standard
  }

  func emit(into builder: inout LaunchBuilder) {
    let w = builder.operandTypes[1].shape
    let y = builder.operandTypes[0].shape
    builder.emit(
      .conv2dBackwardInput, builder.resultTypes[0].dtype,
      [builder.operand(0), builder.operand(1), builder.result()], row: geometry.row(shape, w, y),
      openCL: geometry.openCLCall(.backwardInput, shape, w, y))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    // Linear in dy and in the weight: its gradients are convolutions again.
    let (dy, w) = (context.operands[0], context.operands[1])
    let g = context.dy
    return [
      context.isWanted[0] ? record(Conv2d(geometry: geometry), g, w) : nil,
      context.isWanted[1]
        ? record(Conv2dBackwardWeight(geometry: geometry, shape: w.shape), g, dy) : nil,
    ]
  }
}

/// The gradient towards the weight.
///
/// Operands: x, dy.
struct Conv2dBackwardWeight: Operation {
  static let stem = "conv2d"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let geometry: ConvolutionGeometry
  let shape: Shape

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType(shape, operands[0].dtype, .convolutionWeight)]
  }

  func emit(into builder: inout LaunchBuilder) {
    let x = builder.operandTypes[0].shape
    let y = builder.operandTypes[1].shape
    if x[0] == 0 {
      // No images, no partial sums to add.
      return builder.emitFill(builder.result(), builder.resultTypes[0], Scalar.bits(0))
    }
    let groups = min(x[0], Int(ESP_WEIGHT_GROUPS))
    let workspace = builder.workspace(groups * shape.count, builder.operandTypes[0].dtype)
    var row = esp_conv2d_weight_row()
    let plain = geometry.row(x, shape, y)
    (row.n, row.h, row.w, row.c, row.k) = (plain.n, plain.h, plain.w, plain.c, plain.k)
    (row.r, row.s, row.oh, row.ow) = (plain.r, plain.s, plain.oh, plain.ow)
    (row.stride_h, row.stride_w) = (plain.stride_h, plain.stride_w)
    (row.pad_h, row.pad_w) = (plain.pad_h, plain.pad_w)
    (row.dilation_h, row.dilation_w) = (plain.dilation_h, plain.dilation_w)
    row.groups = plain.groups
    builder.emit(
      .conv2dBackwardWeight, builder.resultTypes[0].dtype,
      [builder.operand(0), builder.operand(1), builder.result(), workspace], row: row,
      openCL: geometry.openCLCall(.backwardWeight, x, shape, y))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let (x, dy) = (context.operands[0], context.operands[1])
    let g = context.dy  // like the weight
    return [
      context.isWanted[0]
        ? record(Conv2dBackwardInput(geometry: geometry, shape: x.shape), dy, g) : nil,
      context.isWanted[1] ? record(Conv2d(geometry: geometry), x, g) : nil,
    ]
  }
}

extension Kernel {
  static let conv2d = Kernel("conv2d", esp_conv2d_f32, esp_conv2d_f64)
  static let conv2dBackwardInput = Kernel(
    "conv2d_backward_input", esp_conv2d_backward_input_f32, esp_conv2d_backward_input_f64)
  static let conv2dBackwardWeight = Kernel(
    "conv2d_backward_weight", esp_conv2d_backward_weight_f32, esp_conv2d_backward_weight_f64)
}

/// A size along height and width; a literal gives both: `3` or `[3, 1]`.
public struct IntPair: Hashable, Sendable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
  /// Along height.
  public let height: Int
  /// Along width.
  public let width: Int

  /// A pair from its parts.
  public init(_ height: Int, _ width: Int) {
    self.height = height
    self.width = width
  }
  /// The same number twice.
  public init(integerLiteral value: Int) { self.init(value, value) }
  /// Height, then width.
  public init(arrayLiteral elements: Int...) {
    precondition(elements.count == 2, "a pair has two numbers, not \(elements)")
    self.init(elements[0], elements[1])
  }
}

/// Returns the 2-D convolution (cross-correlation) of `input` with `weight`.
///
/// `y[n, k, i, j] = Σ_{c, u, v} x[n, c, i·s + u·d − p, j·s + v·d − p] · w[k, c, u, v]`
///
/// - Parameters:
///   - input: `[N, C, H, W]`.
///   - weight: `[K, C / groups, R, S]`.
///   - bias: `[K]`.
///   - stride: Step in pixels, at least 1.
///   - padding: Zeros added on each side, in pixels.
///   - dilation: Distance of kernel elements, in pixels.
///   - groups: Number of channel groups; `C` and `K` are divisible by it.
/// - Returns: `[N, K, H', W']`, `H' = (H + 2·padding − dilation·(R − 1) − 1) / stride + 1`.
/// - Complexity: 2·N·K·H'·W'·C·R·S / groups FLOP forward, twice that backward.
/// - Source: Dumoulin & Visin 2016, arXiv:1603.07285; values checked against PyTorch.
public func conv2d(
  _ input: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, stride: IntPair = 1,
  padding: IntPair = 0, dilation: IntPair = 1, groups: Int = 1
) -> Tensor {
  precondition(
    stride.height > 0 && stride.width > 0 && dilation.height > 0 && dilation.width > 0
      && padding.height >= 0 && padding.width >= 0 && groups > 0,
    "conv2d: stride \(stride), padding \(padding), dilation \(dilation), groups \(groups)")
  if let bias {
    precondition(
      bias.rank == 1 && weight.rank == 4 && bias.shape[0] == weight.shape[0],
      "conv2d: bias \(bias.shape) for weight \(weight.shape), needs [K]")
  }
  let geometry = ConvolutionGeometry(
    strideH: stride.height, strideW: stride.width, padH: padding.height, padW: padding.width,
    dilationH: dilation.height, dilationW: dilation.width, groups: groups)
  let y = record(Conv2d(geometry: geometry), input, weight)
  guard let bias else { return y }
  Recorder.current.biasedOutputs += y.shape.count
  return y + bias.reshaped(to: [1, bias.shape[0], 1, 1])
}
