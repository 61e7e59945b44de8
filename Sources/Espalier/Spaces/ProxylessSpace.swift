/// The mobile space of ProxylessNAS (arXiv:1812.00332), with FBNet's blocks as a setting
/// (arXiv:1812.03443): inverted residual blocks in seven stages.
///
/// The key of a layer is NNI 3's: `s2_i0` is the first block of the second stage. With
/// ProxylessNAS' blocks the first stage is one fixed block of expansion 1; with FBNet's it is
/// searched too.
public final class ProxylessSpace: Module, SpaceModel {
  /// Sizes of a network.
  public struct Configuration: Sendable {
    /// What a layer chooses from.
    public var blocks = MobileBlocks.proxyless
    /// Channels.
    public var widths = MobileWidths.search
    /// Blocks of each stage but the first and the last, which have one.
    public var cells = 4

    /// The sizes of ProxylessNAS' search network.
    public init() {}
  }

  private let stem: any Layer
  private let first: InvertedResidual?
  private let layers: [LayerChoice]
  private let head: any Layer
  private let classifier: Linear

  /// A network for images of the given shape.
  /// - Precondition: FBNet's groups need an even number of channels in the stem and each stage.
  public init(image: ImageShape, classes: Int, configuration: Configuration = Configuration()) {
    let (blocks, widths) = (configuration.blocks, configuration.widths)
    let strides = MobileStrides([1, 2, 2, 2, 1, 2, 1], for: image)
    stem = blocks.unit(image.channels, widths.stem, kernelSize: 3, stride: strides.stem)
    var from = widths.stem
    let isFirstFixed = blocks == .proxyless
    first =
      isFirstFixed
      ? InvertedResidual(
        from, widths.stages[0], kernelSize: 3, expansion: 1, stride: 1, epsilon: blocks.epsilon)
      : nil
    if isFirstFixed { from = widths.stages[0] }
    var layers: [LayerChoice] = []
    for (stage, to) in widths.stages.enumerated().dropFirst(isFirstFixed ? 1 : 0) {
      let isLong = stage > 0 && stage < widths.stages.count - 1
      for number in 0..<(isLong ? configuration.cells : 1) {
        let candidates = blocks.candidates(
          from, to, stride: number == 0 ? strides.stages[stage] : 1)
        layers.append(
          LayerChoice(
            named: candidates, key: "s\(stage + 1)_i\(number)", synonyms: blocks.synonyms,
            integerNames: candidates.map(\.name)))
        from = to
      }
    }
    self.layers = layers
    head = blocks.unit(from, widths.head, kernelSize: 1, stride: 1)
    classifier = Linear(widths.head, classes)
  }

  /// `[N, C, H, W]` → `[N, classes]`.
  public func callAsFunction(_ images: Tensor) -> Tensor {
    var x = stem(images)
    if let first { x = first(x) }
    for layer in layers { x = layer(x) }
    return classifier(globalAveragePool2d(head(x)).flattened(from: 1))
  }

  static let definition = SpaceDefinition(
    name: "proxyless", summary: "inverted residual blocks of ProxylessNAS, or FBNet's",
    paper: "Cai et al. 2019, arXiv:1812.00332; Wu et al. 2019, arXiv:1812.03443",
    settings: [
      SettingDescription(
        "blocks", "proxyless", "candidates: \(list(MobileBlocks.allCases.map(\.rawValue)))"),
      SettingDescription(
        "channels", "32", "channels of the stem, by which all others scale; FBNet's: 16"),
      SettingDescription("cells", "4", "blocks of each stage but the first and the last"),
      SettingDescription(
        "widths", "search",
        "whose channels, with ProxylessNAS' blocks: \(list(MobileWidths.proxyless.map(\.name)))"),
    ],
    makeSupernet: { settings throws(SettingError) in try make(settings) },
    makeRetrainingNetwork: { settings throws(SettingError) in try make(settings) })

  private static func make(_ settings: SpaceSettings) throws(SettingError) -> any SpaceModel {
    try settings.requireImage(atLeast: MobileStrides.smallestSide, for: "the last stage")
    var configuration = Configuration()
    configuration.blocks = try blocks(settings)
    let widths = try widths(settings, of: configuration.blocks)
    let channels = try settings.integer("channels", default: widths.stem, in: 1...512)
    guard configuration.blocks == .proxyless || channels % 2 == 0 else {
      throw SettingError(
        name: "channels", value: "\(channels)", expected: "an even number, for blocks in groups")
    }
    configuration.widths = widths.scaled(toStem: channels)
    configuration.cells = try settings.integer("cells", default: 4, in: 1...20)
    return ProxylessSpace(
      image: settings.image, classes: settings.classes, configuration: configuration)
  }

  private static func blocks(_ settings: SpaceSettings) throws(SettingError) -> MobileBlocks {
    guard let text = settings.values.texts["blocks"] else { return .proxyless }
    guard let blocks = MobileBlocks(rawValue: text) else {
      throw SettingError(
        name: "blocks", value: text, expected: list(MobileBlocks.allCases.map(\.rawValue)))
    }
    return blocks
  }

  private static func widths(
    _ settings: SpaceSettings, of blocks: MobileBlocks
  ) throws(SettingError) -> MobileWidths {
    let text = settings.values.texts["widths"] ?? "search"
    let known = blocks == .fbnet ? [("search", MobileWidths.fbnet)] : MobileWidths.proxyless
    guard let widths = known.first(where: { $0.name == text })?.widths else {
      throw SettingError(
        name: "widths", value: text,
        expected: list(known.map(\.name)) + " with blocks=\(blocks.rawValue)")
    }
    return widths
  }

  private static func list(_ names: [String]) -> String { names.joined(separator: ", ") }
}
