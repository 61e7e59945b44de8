/// The primitives of the DARTS space (arXiv:1806.09055), as in the authors' code.
enum DARTSOperations {
  /// The operation of a name over `channels` channels.
  static func make(_ name: String, _ channels: Int, stride: Int, affine: Bool) -> any Layer {
    let pair = IntPair(stride, stride)
    switch name {
    case "none": return Zero(stride: stride)
    case "max_pool_3x3":
      return Sequential(
        MaxPool2d(3, stride: pair, padding: 1), BatchNorm2d(channels, affine: false))
    case "avg_pool_3x3":
      return Sequential(
        AveragePool2d(3, stride: pair, padding: 1, countIncludePad: false),
        BatchNorm2d(channels, affine: false))
    case "skip_connect":
      return stride == 1 ? Identity() : FactorizedReduce(channels, channels, affine: affine)
    case "sep_conv_3x3": return separable(channels, 3, stride, affine)
    case "sep_conv_5x5": return separable(channels, 5, stride, affine)
    case "dil_conv_3x3": return dilated(channels, 3, stride, affine)
    case "dil_conv_5x5": return dilated(channels, 5, stride, affine)
    default: preconditionFailure("no DARTS operation \(name)")
    }
  }

  private static func half(
    _ channels: Int, _ size: Int, _ stride: Int, _ padding: Int, _ dilation: Int, _ affine: Bool
  ) -> [any Layer] {
    [
      ReLU(),
      Conv2d(
        channels, channels, kernelSize: IntPair(size, size), stride: IntPair(stride, stride),
        padding: IntPair(padding, padding), dilation: IntPair(dilation, dilation),
        groups: channels, bias: false),
      Conv2d(channels, channels, kernelSize: 1, bias: false),
      BatchNorm2d(channels, affine: affine),
    ]
  }

  private static func separable(_ c: Int, _ size: Int, _ stride: Int, _ affine: Bool) -> any Layer {
    Sequential(
      half(c, size, stride, size / 2, 1, affine) + half(c, size, 1, size / 2, 1, affine))
  }

  private static func dilated(_ c: Int, _ size: Int, _ stride: Int, _ affine: Bool) -> any Layer {
    Sequential(half(c, size, stride, size - 1, 2, affine))
  }

  /// ReLU, 1x1 convolution, batch norm: how a cell takes in what comes from another one.
  static func preprocess(_ from: Int, _ to: Int, affine: Bool) -> any Layer {
    Sequential(
      ReLU(), Conv2d(from, to, kernelSize: 1, bias: false), BatchNorm2d(to, affine: affine))
  }
}

/// Exactly zero, at the stride of the other candidates.
final class Zero: Module, ZeroLayer {
  private let stride: Int

  init(stride: Int) { self.stride = stride }

  /// `[N, C, H, W]` → `[N, C, H / stride, W / stride]`.
  func callAsFunction(_ x: Tensor) -> Tensor {
    if stride == 1 { return x.zerosLike() }
    let sizes = [x.shape[0], x.shape[1], (x.shape[2] + 1) / stride, (x.shape[3] + 1) / stride]
    return x.slice(starts: [0, 0, 0, 0], sizes: sizes, steps: [1, 1, stride, stride]).zerosLike()
  }
}

/// Half the size with all pixels used: two 1x1 convolutions of stride 2, one shifted by a pixel.
final class FactorizedReduce: Module, Layer {
  private let conv1: Conv2d
  private let conv2: Conv2d
  private let bn: BatchNorm2d
  private let activates: Bool

  /// - Parameter activates: Whether a ReLU comes first.
  init(_ from: Int, _ to: Int, affine: Bool, activates: Bool = true) {
    self.activates = activates
    conv1 = Conv2d(from, to / 2, kernelSize: 1, stride: 2, bias: false)
    conv2 = Conv2d(from, to - to / 2, kernelSize: 1, stride: 2, bias: false)
    bn = BatchNorm2d(to, affine: affine)
  }

  /// `[N, C, H, W]` → `[N, K, H / 2, W / 2]`; odd sizes are padded by a row and a column.
  func callAsFunction(_ x: Tensor) -> Tensor {
    var x = activates ? relu(x) : x
    let (h, w) = (x.shape[2], x.shape[3])
    if h % 2 == 1 || w % 2 == 1 {
      x = x.padded([(0, 0), (0, 0), (0, h % 2), (0, w % 2)])
    }
    let shifted = x.slice(
      starts: [0, 0, 1, 1], sizes: [x.shape[0], x.shape[1], x.shape[2] - 1, x.shape[3] - 1])
    return bn(concatenate([conv1(x), conv2(shifted)]))
  }
}
