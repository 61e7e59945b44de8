/// The space of Single Path One-Shot (arXiv:1904.00420): ShuffleNetV2 blocks with kernels of 3, 5 or
/// 7 pixels, or three separable convolutions, in four stages.
///
/// Keys and candidates are NNI 3's, `layer_1` to `layer_20`; exports of NNI 1 and 2 number the
/// choices in the same order.
public final class SPOSSpace: Module, SpaceModel {
  /// Sizes of a network.
  public struct Configuration: Sendable {
    /// Channels of the stem; the stages have 4, 10, 20 and 40 times as many, the head 64 times.
    public var channels = 16
    /// Blocks of the first stage; the others have as many, the third twice as many.
    public var cells = 4
    /// Whether batch norm is affine: not in the authors' search, in their retraining.
    public var affine = false

    /// The authors' sizes.
    public init() {}
  }

  /// The candidates.
  static let blocks: [(name: String, kind: ShuffleBlock.Kind)] = [
    ("k3", .plain(kernelSize: 3)), ("k5", .plain(kernelSize: 5)), ("k7", .plain(kernelSize: 7)),
    ("xcep", .xception),
  ]
  /// The authors' names, and what NNI 1 calls them.
  static let synonyms = [
    "xception": "xcep", "shufflenet_3x3": "k3", "shufflenet_5x5": "k5", "shufflenet_7x7": "k7",
    "xception_3x3": "xcep",
  ]

  private let stem: Sequential
  private let layers: [LayerChoice]
  private let head: Sequential
  private let dropout = Dropout(0.1)
  private let classifier: Linear

  /// A network for images of the given shape.
  public init(image: ImageShape, classes: Int, configuration: Configuration = Configuration()) {
    let (channels, affine) = (configuration.channels, configuration.affine)
    let strides = MobileStrides([2, 2, 2, 2], for: image)
    stem = Sequential(
      Conv2d(
        image.channels, channels, kernelSize: 3, stride: IntPair(strides.stem, strides.stem),
        padding: 1, bias: false),
      BatchNorm2d(channels, affine: affine), ReLU())
    var layers: [LayerChoice] = []
    var from = channels
    for (stage, (factor, repeats)) in [(4, 1), (10, 1), (20, 2), (40, 1)].enumerated() {
      let to = factor * channels
      for number in 0..<configuration.cells * repeats {
        let stride = number == 0 ? strides.stages[stage] : 1
        layers.append(
          LayerChoice(
            named: Self.blocks.map { name, kind in
              (name, ShuffleBlock(from, to, kind, stride: stride, affine: affine))
            },
            key: "layer_\(layers.count + 1)", synonyms: Self.synonyms,
            integerNames: Self.blocks.map(\.name)))
        from = to
      }
    }
    self.layers = layers
    head = Sequential(
      Conv2d(from, 64 * channels, kernelSize: 1, bias: false),
      BatchNorm2d(64 * channels, affine: affine), ReLU())
    classifier = Linear(64 * channels, classes, bias: false)
  }

  /// `[N, C, H, W]` → `[N, classes]`.
  public func callAsFunction(_ images: Tensor) -> Tensor {
    var x = stem(images)
    for layer in layers { x = layer(x) }
    return classifier(dropout(globalAveragePool2d(head(x)).flattened(from: 1)))
  }

  static let definition = SpaceDefinition(
    name: "spos", summary: "ShuffleNetV2 blocks: kernels of 3, 5 or 7 pixels, or xception",
    paper: "Guo et al. 2020, arXiv:1904.00420",
    settings: [
      SettingDescription("channels", "16", "channels of the stem, by which all others scale"),
      SettingDescription("cells", "4", "blocks of a stage; the third has twice as many"),
    ],
    makeSupernet: { settings throws(SettingError) in try make(settings, affine: false) },
    makeRetrainingNetwork: { settings throws(SettingError) in try make(settings, affine: true) })

  private static func make(
    _ settings: SpaceSettings, affine: Bool
  ) throws(SettingError) -> any SpaceModel {
    try settings.requireImage(atLeast: MobileStrides.smallestSide, for: "the last stage")
    var configuration = Configuration()
    configuration.channels = try settings.integer("channels", default: 16, in: 1...512)
    configuration.cells = try settings.integer("cells", default: 4, in: 1...20)
    configuration.affine = affine
    return SPOSSpace(
      image: settings.image, classes: settings.classes, configuration: configuration)
  }
}
