/// A convolution whose channels and kernel size may be choices (arXiv:1908.09791).
///
/// The supernet holds the weight of the largest size. A chosen number of output channels keeps the
/// first ones, a chosen kernel the centre; everything else is multiplied by zero, so what follows
/// sees what the small layer would give. Padding keeps height and width at stride 1:
/// `dilation · (kernelSize − 1) / 2`.
///
/// Absent input channels are zero because elastic layers make them so; between two of them stand
/// layers that keep a zero (every activation but the sigmoid, pools, sums). Initial weights are
/// those of the largest layer, whatever is applied later.
public final class ElasticConv2d: Module, Layer, ElasticLayer {
  /// `[K, C / groups, R, R]`.
  public private(set) var weight: Parameter
  /// `[K]`, or nil.
  public private(set) var bias: Parameter?
  private let inputChannels: LayerSize
  private let outputChannels: LayerSize
  private let kernelSize: LayerSize
  private let isDepthwise: Bool
  private let stride: IntPair
  private let dilation: Int
  private let channelMasks: SizeMasks
  private let kernelMasks: SizeMasks

  /// A dense convolution.
  ///
  /// - Parameters:
  ///   - inputChannels: `C`.
  ///   - outputChannels: `K`.
  ///   - kernelSize: `R`, in pixels; odd.
  ///   - stride: Step in pixels.
  ///   - dilation: Distance of kernel elements, in pixels.
  ///   - bias: Whether there is one.
  public convenience init(
    _ inputChannels: LayerSize, _ outputChannels: LayerSize, kernelSize: LayerSize,
    stride: IntPair = 1, dilation: Int = 1, bias: Bool = true
  ) {
    self.init(
      inputChannels, outputChannels, kernelSize, isDepthwise: false, stride, dilation, bias)
  }

  /// A depthwise convolution: each channel has a kernel of its own.
  public convenience init(
    depthwise channels: LayerSize, kernelSize: LayerSize, stride: IntPair = 1, dilation: Int = 1,
    bias: Bool = true
  ) {
    self.init(channels, channels, kernelSize, isDepthwise: true, stride, dilation, bias)
  }

  private init(
    _ inputChannels: LayerSize, _ outputChannels: LayerSize, _ kernelSize: LayerSize,
    isDepthwise: Bool, _ stride: IntPair, _ dilation: Int, _ hasBias: Bool
  ) {
    precondition(
      kernelSize.candidates.allSatisfy { $0 > 0 && $0 % 2 == 1 },
      "ElasticConv2d: kernels of \(kernelSize.candidates) pixels, need odd ones")
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
    self.kernelSize = kernelSize
    self.isDepthwise = isDepthwise
    self.stride = stride
    self.dilation = dilation
    let (channels, size) = (outputChannels.largest, kernelSize.largest)
    let largest = Conv2d(
      inputChannels.largest, channels, kernelSize: IntPair(size, size),
      groups: isDepthwise ? channels : 1, bias: hasBias)
    weight = largest.weight
    bias = largest.bias
    channelMasks = SizeMasks(outputChannels, shape: [channels, 1, 1, 1]) { $1 < $0 }
    kernelMasks = SizeMasks(kernelSize, shape: [1, 1, size, size]) { kernel, element in
      let centre = centred(kernel, in: size)
      return centre.contains(element / size) && centre.contains(element % size)
    }
  }

  /// Weight and bias, then choices that stand nowhere else.
  public override var children: [(name: String, member: any ModuleMember)] {
    reflectedChildren
      + choiceChildren([
        "inputChannels": inputChannels, "outputChannels": outputChannels, "kernelSize": kernelSize,
      ])
  }

  /// `[N, C, H, W]` → `[N, K, H', W']`, `H' = (H − 1) / stride + 1`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    var (weight, bias) = (weight.value, bias?.value)
    if NarrowRun.isCurrent {
      let ranges = ranges(\.decided)
      weight = weight.slice(ranges)
      bias = bias?.slice([ranges[0]])
    } else {
      let channelMask = channelMasks.current
      // One small mask, then one product over the weight.
      if let mask = product(channelMask, kernelMasks.current) { weight = weight * mask }
      if let mask = channelMask { bias = bias.map { $0 * mask.reshaped(to: $0.shape) } }
    }
    let padding = dilation * (weight.shape[2] - 1) / 2
    return conv2d(
      x, weight, bias, stride: stride, padding: IntPair(padding, padding),
      dilation: IntPair(dilation, dilation), groups: isDepthwise ? x.shape[1] : 1)
  }

  private func product(_ a: Tensor?, _ b: Tensor?) -> Tensor? {
    guard let a, let b else { return a ?? b }
    return a * b
  }

  /// What is kept of each axis of the weight.
  private func ranges(_ size: (LayerSize) -> Int) -> [Range<Int>] {
    let kernel = centred(size(kernelSize), in: kernelSize.largest)
    return [0..<size(outputChannels), 0..<(isDepthwise ? 1 : size(inputChannels)), kernel, kernel]
  }

  func cut() throws(DeviceError) {
    let ranges = ranges(\.kept)
    weight = try Parameter(ranges, of: weight, isConvolutionWeight: true)
    if let old = bias { bias = try Parameter([ranges[0]], of: old) }
  }

  func parameterCount(_ size: (LayerSize) -> Int) -> Int {
    let counts = ranges(size).map(\.count)
    return counts.reduce(1, *) + (bias == nil ? 0 : counts[0])
  }
}

/// The middle `size` of `largest` places.
func centred(_ size: Int, in largest: Int) -> Range<Int> {
  let start = (largest - size) / 2
  return start..<start + size
}
