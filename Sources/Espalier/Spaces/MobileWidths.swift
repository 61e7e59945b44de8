/// Channels of a mobile network: stem, seven stages, head.
public struct MobileWidths: Equatable, Sendable {
  /// Channels of the first convolution.
  public var stem: Int
  /// Channels of the stages.
  public var stages: [Int]
  /// Channels of the last convolution.
  public var head: Int

  /// Widths from their numbers.
  /// - Precondition: There are seven stages.
  public init(stem: Int, stages: [Int], head: Int) {
    precondition(stages.count == 7, "MobileWidths: \(stages.count) stages")
    self.stem = stem
    self.stages = stages
    self.head = head
  }

  /// FBNet's, of FBNet-B and FBNet-C.
  public static let fbnet = MobileWidths(
    stem: 16, stages: [16, 24, 32, 64, 112, 184, 352], head: 1984)
  /// ProxylessNAS' search network.
  public static let search = MobileWidths(
    stem: 32, stages: [16, 24, 40, 80, 96, 192, 320], head: 1280)

  /// The search network's and those of the networks that ProxylessNAS published, which differ.
  public static let proxyless: [(name: String, widths: MobileWidths)] = [
    ("search", search),
    ("mobile", MobileWidths(stem: 32, stages: [16, 32, 40, 80, 96, 192, 320], head: 1280)),
    ("mobile-14", MobileWidths(stem: 48, stages: [24, 40, 56, 112, 136, 256, 448], head: 1792)),
    ("gpu", MobileWidths(stem: 40, stages: [24, 32, 56, 112, 128, 256, 432], head: 1728)),
    ("cpu", MobileWidths(stem: 40, stages: [24, 32, 48, 88, 104, 216, 360], head: 1432)),
  ]

  /// All widths in the proportion of the stem's, rounded as MobileNet does: to multiples of 8, at
  /// least 8, and not down by more than a tenth.
  func scaled(toStem channels: Int) -> MobileWidths {
    func scaled(_ width: Int) -> Int {
      let exact = width * channels
      let rounded = max(8, (exact + 4 * stem) / (8 * stem) * 8)
      return 10 * rounded * stem < 9 * exact ? rounded + 8 : rounded
    }
    return MobileWidths(stem: channels, stages: stages.map(scaled), head: scaled(head))
  }
}
