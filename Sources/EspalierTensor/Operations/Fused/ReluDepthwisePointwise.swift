import CKernels

/// ReLU, depthwise and pointwise convolution and the moments of the result, image by image.
///
/// Operands: x; where the input is normalised on load its mean and variance; the depthwise weight
/// if there is one; the pointwise weight. Results: y, mean, variance.
struct ReluDepthwisePointwise: Operation {
  static let stem = "relu_depthwise_pointwise"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let source: FusedSource
  let shape: FusedConvolutionShape

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let x = operands[0]
    let k = operands[operands.count - 1].shape[0]
    let moments = TensorType([k], x.dtype)
    return [TensorType(shape.result(x.shape, k), x.dtype), moments, moments]
  }

  func emit(into builder: inout LaunchBuilder) {
    let x = builder.operandTypes[0].shape
    let y = builder.resultTypes[0].shape
    let row: esp_relu_depthwise_pointwise_row = shape.row(x, y)
    let workspace = builder.workspace(2 * x[0] * y[1], .float64)
    var operands = OperandSequence(builder)
    let inputs = source.inputs(&operands) + shape.weights(&operands)
    builder.emit(
      .reluDepthwisePointwise, .float32,
      inputs + [builder.result(0), builder.result(1), builder.result(2), workspace],
      scalars: [Scalar(source.epsilon)], row: row, openCL: shape.openCLForward(source, y))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    preconditionFailure("\(Self.stem): fused operations are differentiated before they are fused")
  }
}

/// The backward of any number of them that have one source, each through the batch norm of its y.
///
/// Operands: x and the moments that it is normalised by; then for each branch its weights, y, the
/// mean, variance and sums of its batch norm, γ if that is affine, and the upstream gradient.
/// Results: dx, the sum over all branches; if wanted Σ dx and Σ dx·x̂, `[2, C]`, for the backward of
/// the source's batch norm; for each branch the gradients of its weights if wanted.
struct ReluDepthwisePointwiseBackward: Operation {
  static let stem = "relu_depthwise_pointwise"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let source: FusedSource
  var branches: [Branch]
  var wantsSourceSums = false

  struct Branch: Hashable, Sendable {
    var shape: FusedConvolutionShape
    var isAffine: Bool
    var wantsWeights: Bool
    /// ε of the batch norm of y.
    var epsilon: Float
  }

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    var types = [operands[0]]
    if wantsSourceSums { types.append(TensorType([2, operands[0].shape[1]], operands[0].dtype)) }
    var first = source.operandCount
    for branch in branches {
      let weights = branch.shape.hasDepthwise ? 2 : 1
      if branch.wantsWeights { types += operands[first..<first + weights] }
      first += weights + (branch.isAffine ? 6 : 5)
    }
    return types
  }

  func emit(into builder: inout LaunchBuilder) {
    var operands = OperandSequence(builder)
    let inputs = source.inputs(&operands)
    var result = wantsSourceSums ? 2 : 1
    func next(if isThere: Bool) -> Operand {
      defer { result += isThere ? 1 : 0 }
      return isThere ? builder.result(result) : .absent
    }
    let x = builder.operandTypes[0].shape
    var openCL: OpenCLCall?
    var rows:
      [(
        operands: [Operand], scalars: [Scalar], row: esp_relu_depthwise_pointwise_backward_row
      )] = []
    for branch in branches {
      let weights = branch.shape.weights(&operands)
      let y = operands.nextType.shape
      let row: esp_relu_depthwise_pointwise_backward_row = branch.shape.row(x, y)
      openCL = branch.shape.openCLBackward(source, x, y, wantsWeights: branch.wantsWeights)
      let norm = [operands.next(), operands.next(), operands.next()]
      let sums = operands.next()
      let gamma = operands.next(if: branch.isAffine)
      let upstream = operands.next()
      let dwd = next(if: branch.wantsWeights && branch.shape.hasDepthwise)
      let dwp = next(if: branch.wantsWeights)
      let groups = max(1, min(row.n, ESP_WEIGHT_GROUPS))
      let partials = branch.wantsWeights ? groups * (row.r * row.s * row.c + row.c * row.k) : 0
      let scratch = builder.hasThreadScratch ? 0 : branch.shape.openCLScratch(x, y)
      let size = Int(partials) + scratch
      let workspace = size > 0 ? builder.workspace(size, .float32) : .absent
      // The last row leaves dx complete.
      let hasSums = wantsSourceSums && rows.count == branches.count - 1
      let sourceSums =
        hasSums
        ? [builder.result(1), builder.workspace(Int(2 * row.n * row.c), .float64)]
        : [.absent, .absent]
      rows.append(
        (
          inputs + weights + norm
            + [gamma, sums, upstream, builder.result(0).accumulating(!rows.isEmpty)]
            + [dwd, dwp, workspace] + sourceSums,
          [Scalar(source.epsilon), Scalar(branch.epsilon)], row
        ))
    }
    // On OpenCL branches of one call would have to be of one shape.
    builder.emitRows(
      .reluDepthwisePointwiseBackward, .float32, rows, openCL: rows.count == 1 ? openCL : nil)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    preconditionFailure("\(Self.stem): fused operations are differentiated before they are fused")
  }
}

/// What the fused convolutions read: x, perhaps normalised on load.
struct FusedSource: Hashable, Sendable {
  var hasMoments = false
  /// Of the batch norm; 0 without one.
  var epsilon: Float = 0

  var operandCount: Int { hasMoments ? 3 : 1 }

  /// x, mean and variance, in the order of the rows.
  func inputs(_ operands: inout OperandSequence) -> [Operand] {
    [operands.next(), operands.next(if: hasMoments), operands.next(if: hasMoments)]
  }
}

/// The depthwise kernel of a fused convolution, if it has one.
struct FusedConvolutionShape: Hashable, Sendable {
  var hasDepthwise: Bool
  var kernelH = 1
  var kernelW = 1
  var stride = 1
  var pad = 0
  var dilation = 1

  func result(_ x: Shape, _ k: Int) -> Shape {
    [
      x[0], k, ConvolutionGeometry.output(x[2], kernelH, stride, pad, dilation),
      ConvolutionGeometry.output(x[3], kernelW, stride, pad, dilation),
    ]
  }

  /// A row of either direction for input `x` and result `y`, its operands and scalars still empty.
  func row<Row: FusedConvolutionRow>(_ x: Shape, _ y: Shape) -> Row {
    var row = Row()
    (row.n, row.c, row.h, row.w) = (Int32(x[0]), Int32(x[1]), Int32(x[2]), Int32(x[3]))
    (row.k, row.oh, row.ow) = (Int32(y[1]), Int32(y[2]), Int32(y[3]))
    (row.r, row.s) = (Int32(kernelH), Int32(kernelW))
    (row.stride, row.pad, row.dilation) = (Int32(stride), Int32(pad), Int32(dilation))
    return row
  }

  /// Depthwise and pointwise weight, in the order of the rows.
  func weights(_ operands: inout OperandSequence) -> [Operand] {
    [operands.next(if: hasDepthwise), operands.next()]
  }
}

/// The fields that the rows of both directions end with.
protocol FusedConvolutionRow {
  init()
  var n: Int32 { get set }
  var c: Int32 { get set }
  var h: Int32 { get set }
  var w: Int32 { get set }
  var k: Int32 { get set }
  var r: Int32 { get set }
  var s: Int32 { get set }
  var oh: Int32 { get set }
  var ow: Int32 { get set }
  var stride: Int32 { get set }
  var pad: Int32 { get set }
  var dilation: Int32 { get set }
}

extension esp_relu_depthwise_pointwise_row: FusedConvolutionRow {}
extension esp_relu_depthwise_pointwise_backward_row: FusedConvolutionRow {}

/// Hands out an operation's operands in order.
struct OperandSequence {
  private let builder: LaunchBuilder
  private var index = 0

  init(_ builder: LaunchBuilder) { self.builder = builder }

  /// The type of the next operand.
  var nextType: TensorType { builder.operandTypes[index] }

  /// The next operand; absent, and none taken, where it is not there.
  mutating func next(if isThere: Bool = true) -> Operand {
    guard isThere else { return .absent }
    defer { index += 1 }
    return builder.operand(index)
  }
}

extension Kernel {
  static let reluDepthwisePointwise = Kernel(
    "relu_depthwise_pointwise", esp_relu_depthwise_pointwise_f32, nil)
  static let reluDepthwisePointwiseBackward = Kernel(
    "relu_depthwise_pointwise_backward", esp_relu_depthwise_pointwise_backward_f32, nil)
}
