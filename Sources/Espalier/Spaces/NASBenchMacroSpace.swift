/// The space of NAS-Bench-Macro (arXiv:2103.11922): eight layers, each an identity or
/// one of two inverted residual blocks.
public final class NASBenchMacroSpace: Module, SpaceModel {
  private let stem: Sequential
  private let layers: [LayerChoice]
  private let head: Sequential
  private let classifier: Linear

  /// A network for images of the given shape.
  ///
  /// - Parameter channels: Channels of the stem; the stages have two, four and eight times as many,
  ///   the head forty times.
  public init(image: ImageShape, classes: Int, channels: Int = 32) {
    stem = Sequential(
      Conv2d(image.channels, channels, kernelSize: 3, padding: 1, bias: false),
      BatchNorm2d(channels), ReLU6())
    var layers: [LayerChoice] = []
    var from = channels
    for (stage, count) in [2, 3, 3].enumerated() {
      for number in 0..<count {
        let (to, stride) = (channels << (stage + 1), number == 0 ? 2 : 1)
        layers.append(
          LayerChoice(
            [
              "identity": from == to
                ? Identity()
                : Sequential(
                  Conv2d(
                    from, to, kernelSize: 1, stride: IntPair(stride, stride), bias: false),
                  BatchNorm2d(to)),
              "MB3_K3": InvertedResidual(from, to, kernelSize: 3, expansion: 3, stride: stride),
              "MB6_K5": InvertedResidual(from, to, kernelSize: 5, expansion: 6, stride: stride),
            ], key: "layer\(layers.count)"))
        from = to
      }
    }
    self.layers = layers
    head = Sequential(
      Conv2d(from, 40 * channels, kernelSize: 1, bias: false), BatchNorm2d(40 * channels), ReLU6())
    classifier = Linear(40 * channels, classes)
  }

  /// `[N, C, H, W]` → `[N, classes]`.
  public func callAsFunction(_ images: Tensor) -> Tensor {
    var x = stem(images)
    for layer in layers { x = layer(x) }
    return classifier(globalAveragePool2d(head(x)).flattened(from: 1))
  }

  static let definition = SpaceDefinition(
    name: "nas-bench-macro", summary: "eight layers: identity or one of two inverted residuals",
    paper: "Su et al. 2021, arXiv:2103.11922",
    settings: [SettingDescription("channels", "32", "channels of the stem")],
    makeSupernet: { settings throws(SettingError) in try make(settings) },
    makeRetrainingNetwork: { settings throws(SettingError) in try make(settings) })

  private static func make(_ settings: SpaceSettings) throws(SettingError) -> any SpaceModel {
    try settings.requireImage(atLeast: 8, for: "three reductions")
    return NASBenchMacroSpace(
      image: settings.image, classes: settings.classes,
      channels: try settings.integer("channels", default: 32, in: 1...1024))
  }
}
