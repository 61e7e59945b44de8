/// An inverted residual block (MobileNetV2, arXiv:1801.04381): expand, depthwise, project.
///
/// Where neither size nor width changes the input is added.
final class InvertedResidual: Module, Layer {
  private let body: Sequential
  private let addsInput: Bool

  /// A block with a square kernel.
  ///
  /// - Parameters:
  ///   - expansion: Width of the depthwise convolution over that of the input; 1 has no expanding
  ///     convolution.
  ///   - epsilon: What batch norms add to the variance.
  init(
    _ from: Int, _ to: Int, kernelSize: Int, expansion: Int, stride: Int, epsilon: Float = 1e-5
  ) {
    let middle = from * expansion
    var layers: [any Layer] = []
    if expansion > 1 {
      layers += [
        Conv2d(from, middle, kernelSize: 1, bias: false), BatchNorm2d(middle, epsilon: epsilon),
        ReLU6(),
      ]
    }
    layers += [
      Conv2d(
        middle, middle, kernelSize: IntPair(kernelSize, kernelSize),
        stride: IntPair(stride, stride), padding: IntPair(kernelSize / 2, kernelSize / 2),
        groups: middle, bias: false),
      BatchNorm2d(middle, epsilon: epsilon), ReLU6(),
      Conv2d(middle, to, kernelSize: 1, bias: false), BatchNorm2d(to, epsilon: epsilon),
    ]
    body = Sequential(layers)
    addsInput = stride == 1 && from == to
  }

  /// `[N, C, H, W]` → `[N, K, ⌈H / stride⌉, ⌈W / stride⌉]`.
  func callAsFunction(_ x: Tensor) -> Tensor { addsInput ? x + body(x) : body(x) }
}
