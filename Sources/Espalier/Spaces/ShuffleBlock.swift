/// A ShuffleNetV2 block as Single Path One-Shot searches it (arXiv:1904.00420).
///
/// Of an input of as many channels the even ones pass and the odd ones are computed; otherwise, and
/// where the size shrinks, a projection of the whole input takes the place of the even ones.
final class ShuffleBlock: Module, Layer {
  /// What computes.
  enum Kind {
    /// 1x1, depthwise of so many pixels, 1x1.
    case plain(kernelSize: Int)
    /// Three times depthwise 3x3 and 1x1.
    case xception

    fileprivate var kernelSize: Int {
      if case .plain(let size) = self { size } else { 3 }
    }
  }

  private let main: Sequential
  private let projection: Sequential?

  /// A block.
  ///
  /// - Parameter affine: Whether the batch norms are: not in the authors' search.
  /// - Precondition: `to` is even, and more than `from` where it is another number.
  init(_ from: Int, _ to: Int, _ kind: Kind, stride: Int, affine: Bool) {
    precondition(to % 2 == 0 && to >= from, "ShuffleBlock: \(from) to \(to) channels")
    let size = kind.kernelSize
    let projects = from != to || stride != 1
    let (width, middle) = (projects ? from : from / 2, to / 2)
    let added = to - width
    func depthwise(_ channels: Int, _ stride: Int) -> [any Layer] {
      [
        Conv2d(
          channels, channels, kernelSize: IntPair(size, size), stride: IntPair(stride, stride),
          padding: IntPair(size / 2, size / 2), groups: channels, bias: false),
        BatchNorm2d(channels, affine: affine),
      ]
    }
    func pointwise(_ from: Int, _ to: Int) -> [any Layer] {
      [Conv2d(from, to, kernelSize: 1, bias: false), BatchNorm2d(to, affine: affine), ReLU()]
    }
    switch kind {
    case .plain:
      main = Sequential(
        pointwise(width, middle) + depthwise(middle, stride) + pointwise(middle, added))
    case .xception:
      main = Sequential(
        depthwise(width, stride) + pointwise(width, middle) + depthwise(middle, 1)
          + pointwise(middle, middle) + depthwise(middle, 1) + pointwise(middle, added))
    }
    projection = projects ? Sequential(depthwise(from, stride) + pointwise(from, from)) : nil
  }

  /// `[N, C, H, W]` → `[N, K, ⌈H / stride⌉, ⌈W / stride⌉]`.
  func callAsFunction(_ x: Tensor) -> Tensor {
    if let projection { return concatenate([projection(x), main(x)]) }
    let halves = channelShuffle(x, groups: x.shape[1] / 2, parts: 2)
    return concatenate([halves[0], main(halves[1])])
  }
}
