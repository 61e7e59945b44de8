/// 2-D convolution over `[N, C, H, W]`.
///
/// `y[n, k, i, j] = b[k] + Σ_{c, u, v} x[n, c, i·s + u·d − p, j·s + v·d − p] · w[k, c, u, v]`;
/// output `[N, K, H', W']` with `H' = (H + 2·padding − dilation·(kernelSize − 1) − 1) / stride + 1`.
/// Weights and bias start uniform in ±1 / √(C / groups · R · S), as in PyTorch.
public final class Conv2d: Module, Layer {
  /// `[K, C / groups, R, S]`.
  public let weight: Parameter
  /// `[K]`, or nil.
  public let bias: Parameter?
  private let stride: IntPair
  private let padding: IntPair
  private let dilation: IntPair
  private let groups: Int

  /// A convolution with random weights.
  ///
  /// - Parameters:
  ///   - inputChannels: `C`, divisible by `groups`.
  ///   - outputChannels: `K`, divisible by `groups`.
  ///   - kernelSize: In pixels.
  ///   - stride: Step in pixels.
  ///   - padding: Zeros on each side, in pixels.
  ///   - dilation: Distance of kernel elements, in pixels.
  ///   - groups: `C` makes it depthwise.
  ///   - bias: Whether there is one.
  public init(
    _ inputChannels: Int, _ outputChannels: Int, kernelSize: IntPair, stride: IntPair = 1,
    padding: IntPair = 0, dilation: IntPair = 1, groups: Int = 1, bias: Bool = true
  ) {
    precondition(
      inputChannels > 0 && outputChannels > 0 && groups > 0 && inputChannels % groups == 0
        && outputChannels % groups == 0 && kernelSize.height > 0 && kernelSize.width > 0,
      "Conv2d: \(inputChannels) and \(outputChannels) channels with groups \(groups), kernel \(kernelSize)"
    )
    let shape: Shape = [
      outputChannels, inputChannels / groups, kernelSize.height, kernelSize.width,
    ]
    let fanIn = shape[1] * shape[2] * shape[3]
    let bound = 1 / Double(fanIn).squareRoot()
    let source = InitialWeights.current
    weight = Parameter(
      source.uniform(shape.count, bound: bound), shape: shape, isConvolutionWeight: true)
    self.bias =
      bias
      ? Parameter(source.uniform(outputChannels, bound: bound), shape: [outputChannels]) : nil
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
  }

  /// `[N, C, H, W]` → `[N, K, H', W']`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    conv2d(
      x, weight.value, bias?.value, stride: stride, padding: padding, dilation: dilation,
      groups: groups)
  }
}
