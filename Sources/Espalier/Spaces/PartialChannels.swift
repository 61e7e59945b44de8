/// Lets some of the channels through an edge's operations and the others past them (PC-DARTS,
/// arXiv:1907.05737).
struct PartialChannels {
  /// The share that goes through, as its inverse; 1: all do.
  let divisor: Int

  /// Lets the first 1/`divisor` of the channels through `layer`.
  ///
  /// Where the layer halves the image, the others are halved by a max pooling. The channels come out
  /// in the order in which they went in; what is added up is then to be `shuffled`.
  /// - Parameters:
  ///   - x: `[N, C, H, W]`.
  ///   - layer: Maps `[N, C / divisor, H, W]` to as many channels.
  func callAsFunction(_ x: Tensor, _ layer: (Tensor) -> Tensor) -> Tensor {
    guard divisor > 1 else { return layer(x) }
    let channels = x.shape[1]
    let mixed = layer(x.slice(0..<channels / divisor, axis: 1))
    var others = x.slice(channels / divisor..<channels, axis: 1)
    if mixed.shape[2] != others.shape[2] || mixed.shape[3] != others.shape[3] {
      // Odd sizes are halved upwards, as a padded convolution of stride 2 does.
      let padding = IntPair(others.shape[2] % 2, others.shape[3] % 2)
      others = maxPool2d(others, kernelSize: 2, stride: 2, padding: padding)
    }
    return concatenate([mixed, others])
  }

  /// The channels in an order in which others take their turn.
  func shuffled(_ x: Tensor) -> Tensor {
    divisor > 1 ? channelShuffle(x, groups: divisor) : x
  }

  /// The setting of a space that has partial channels.
  static let setting = SettingDescription(
    "partial_channels", "1",
    "search: 1/N of the channels go through an edge's operations, the others past them")

  /// The divisor that was set.
  ///
  /// - Parameter parts: What an operation's channels must be divisible by.
  static func divisor(_ settings: SpaceSettings, channels: Int, parts: Int) throws(SettingError)
    -> Int
  {
    let divisor = try settings.integer("partial_channels", default: 1, in: 1...1024)
    guard divisor == 1 || channels % (parts * divisor) == 0 else {
      throw SettingError(
        name: "partial_channels", value: "\(divisor)",
        expected: "a number that, times \(parts), divides channels=\(channels)")
    }
    return divisor
  }
}
