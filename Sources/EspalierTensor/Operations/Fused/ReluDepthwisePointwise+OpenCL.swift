import CKernels

/// The OpenCL kernels of both directions, of chains with a depthwise convolution.
extension FusedConvolutionShape {
  private static let stem = "esp_relu_depthwise_pointwise"

  func openCLForward(_ source: FusedSource, _ y: Shape) -> OpenCLCall {
    .kernel(openCLName("", source), items: y[0] * y[2])
      .then("\(Self.stem)_moments", items: y[0] * vectors(y[1]))
      .then("\(Self.stem)_merge", items: vectors(y[1]))
  }

  func openCLBackward(
    _ source: FusedSource, _ x: Shape, _ y: Shape, wantsWeights: Bool
  ) -> OpenCLCall {
    let groups = min(x[0], Int(ESP_WEIGHT_GROUPS))
    let call = OpenCLCall.kernel(openCLName("_backward", source), items: groups * vectors(x[1]))
    guard wantsWeights else { return call }
    let weights = kernelH * kernelW * x[1] + x[1] * y[1]
    return call.then("\(Self.stem)_backward_merge", items: elementwiseItems(weights))
  }

  /// Floats of the workspace in which the backward keeps dt of one image and 16 channels an item.
  func openCLScratch(_ x: Shape, _ y: Shape) -> Int {
    min(x[0], Int(ESP_WEIGHT_GROUPS)) * vectors(x[1]) * 16 * y[2] * y[3]
  }

  /// The kernel for this shape, kernel size, dilation and stride in its name where one was made for
  /// them; `_n` normalises the input on load.
  private func openCLName(_ direction: String, _ source: FusedSource) -> String {
    let isMade = kernelH == kernelW && [3, 5].contains(kernelH) && stride <= 2 && dilation <= 2
    guard isMade, !source.hasMoments || (stride == 1 && dilation == 1) else {
      return Self.stem + direction
    }
    let suffix = source.hasMoments ? "_n" : ""
    return "\(Self.stem)\(direction)_k\(kernelH)_d\(dilation)_s\(stride)\(suffix)"
  }
}
