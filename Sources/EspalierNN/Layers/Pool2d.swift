/// The maximum of each window; `H' = (H + 2·padding − kernelSize) / stride + 1`.
public final class MaxPool2d: Module, Layer {
  private let kernelSize: IntPair
  private let stride: IntPair
  private let padding: IntPair

  /// A pool; `stride` defaults to the kernel's size.
  public init(_ kernelSize: IntPair, stride: IntPair? = nil, padding: IntPair = 0) {
    self.kernelSize = kernelSize
    self.stride = stride ?? kernelSize
    self.padding = padding
  }

  /// `[N, C, H, W]` → `[N, C, H', W']`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    maxPool2d(x, kernelSize: kernelSize, stride: stride, padding: padding)
  }
}

/// The mean of each window; `H' = (H + 2·padding − kernelSize) / stride + 1`.
public final class AveragePool2d: Module, Layer {
  private let kernelSize: IntPair
  private let stride: IntPair
  private let padding: IntPair
  private let countIncludePad: Bool

  /// A pool; `stride` defaults to the kernel's size, `countIncludePad` to PyTorch's true.
  public init(
    _ kernelSize: IntPair, stride: IntPair? = nil, padding: IntPair = 0,
    countIncludePad: Bool = true
  ) {
    self.kernelSize = kernelSize
    self.stride = stride ?? kernelSize
    self.padding = padding
    self.countIncludePad = countIncludePad
  }

  /// `[N, C, H, W]` → `[N, C, H', W']`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    averagePool2d(
      x, kernelSize: kernelSize, stride: stride, padding: padding, countIncludePad: countIncludePad)
  }
}

/// The mean over height and width: `[N, C, H, W]` → `[N, C, 1, 1]`.
public final class GlobalAveragePool2d: Module, Layer {
  /// `[N, C, H, W]` → `[N, C, 1, 1]`.
  public func callAsFunction(_ x: Tensor) -> Tensor { globalAveragePool2d(x) }
}
