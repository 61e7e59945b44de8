/// An inverted residual block as FBNet searches it (arXiv:1812.03443): 1x1 in groups, shuffle,
/// depthwise, 1x1 in groups.
///
/// Unlike MobileNetV2's it has the first convolution at expansion 1 too, and ReLU. Where neither size
/// nor width changes the input is added.
final class FBNetBlock: Module, Layer {
  private let expand: Sequential
  private let body: Sequential
  private let groups: Int
  private let addsInput: Bool

  /// A block with a square kernel.
  ///
  /// - Parameters:
  ///   - expansion: Width of the depthwise convolution over that of the input.
  ///   - groups: Groups of both 1x1 convolutions, with a channel shuffle behind the first.
  init(_ from: Int, _ to: Int, kernelSize: Int, expansion: Int, groups: Int, stride: Int) {
    let middle = from * expansion
    expand = Sequential(
      Conv2d(from, middle, kernelSize: 1, groups: groups, bias: false), BatchNorm2d(middle), ReLU())
    body = Sequential(
      Conv2d(
        middle, middle, kernelSize: IntPair(kernelSize, kernelSize),
        stride: IntPair(stride, stride), padding: IntPair(kernelSize / 2, kernelSize / 2),
        groups: middle, bias: false),
      BatchNorm2d(middle), ReLU(),
      Conv2d(middle, to, kernelSize: 1, groups: groups, bias: false), BatchNorm2d(to))
    self.groups = groups
    addsInput = stride == 1 && from == to
  }

  /// `[N, C, H, W]` → `[N, K, ⌈H / stride⌉, ⌈W / stride⌉]`.
  func callAsFunction(_ x: Tensor) -> Tensor {
    var y = expand(x)
    if groups > 1 { y = channelShuffle(y, groups: groups) }
    y = body(y)
    return addsInput ? x + y : y
  }
}
