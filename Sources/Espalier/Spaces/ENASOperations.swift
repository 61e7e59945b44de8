/// The operations of ENAS (arXiv:1802.03268), built as in NNI, in the authors' order.
enum ENASOperations {
  /// The branches of the macro space.
  static let macro = ["conv3x3", "sepconv3x3", "conv5x5", "sepconv5x5", "avgpool", "maxpool"]
  /// The operations of the micro space.
  static let micro = ["sepconv3x3", "sepconv5x5", "avgpool", "maxpool", "identity"]

  /// A branch of the macro space: a 1x1 convolution, then what the name says.
  static func branch(_ name: String, _ channels: Int, affine: Bool) -> any Layer {
    let first = calibration(channels, channels, affine: affine)
    let norm = BatchNorm2d(channels, affine: affine)
    func activated(_ layers: [any Layer]) -> any Layer {
      Sequential([first] + layers + [norm, ReLU()])
    }
    switch name {
    case "conv3x3": return activated([convolution(channels, 3)])
    case "sepconv3x3": return activated(separable(channels, 3))
    case "conv5x5": return activated([convolution(channels, 5)])
    case "sepconv5x5": return activated(separable(channels, 5))
    default: return Sequential(first, pool(name), norm)
    }
  }

  /// An operation of the micro space.
  static func operation(_ name: String, _ channels: Int) -> any Layer {
    switch name {
    case "sepconv3x3": normalized(separable(channels, 3), channels)
    case "sepconv5x5": normalized(separable(channels, 5), channels)
    case "identity": Identity()
    default: pool(name)
    }
  }

  /// 1x1 convolution, batch norm, ReLU.
  static func calibration(_ from: Int, _ to: Int, affine: Bool) -> any Layer {
    Sequential(
      Conv2d(from, to, kernelSize: 1, bias: false), BatchNorm2d(to, affine: affine), ReLU())
  }

  private static func normalized(_ layers: [any Layer], _ channels: Int) -> any Layer {
    Sequential([ReLU()] + layers + [BatchNorm2d(channels)])
  }

  private static func convolution(_ c: Int, _ size: Int, groups: Int = 1) -> any Layer {
    Conv2d(
      c, c, kernelSize: IntPair(size, size), padding: IntPair(size / 2, size / 2), groups: groups,
      bias: false)
  }

  private static func separable(_ c: Int, _ size: Int) -> [any Layer] {
    [convolution(c, size, groups: c), Conv2d(c, c, kernelSize: 1, bias: false)]
  }

  private static func pool(_ name: String) -> any Layer {
    switch name {
    case "avgpool": AveragePool2d(3, stride: 1, padding: 1, countIncludePad: false)
    case "maxpool": MaxPool2d(3, stride: 1, padding: 1)
    default: preconditionFailure("no ENAS operation \(name)")
    }
  }
}
