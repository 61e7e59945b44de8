/// The macro space of ENAS (arXiv:1802.03268): a chain of layers, each one of six operations, with skip
/// connections from any earlier layers.
///
/// Layer l applies `layer_l_op` to the layer before it, adds what `layer_l_skip` takes, and normalises
/// the sum. The inputs of `layer_l_skip` are called as in NNI: `layer_j` is what layer j itself reads,
/// for layer 0 the stem's output, so that they stand in the order of the authors' bits. Behind a third
/// and two thirds of the layers factorised reductions halve all that later layers may read, each with
/// weights of its own as in the authors' code; NNI shares them. Retraining adds skips up as well, where
/// the authors' code concatenates them.
public final class ENASMacroSpace: Module, SpaceModel, Prunable {
  /// Sizes of a network.
  public struct Configuration: Sendable {
    /// Channels of every layer.
    public var channels = 36
    /// Number of layers.
    public var layers = 12
    /// Whether batch norms of layers are affine: not in NNI's search, in the authors' training.
    public var affine = false
    /// Share of the features that is dropped before the classifier.
    public var dropout: Float = 0.1

    /// The search network's sizes.
    public init() {}
  }

  private let stem: Sequential
  private let layers: [ENASMacroLayer]
  /// By reduction, then by what is reduced: the stem's output, then those of layers.
  private var reductions: [[FactorizedReduce?]] = []
  /// The layers behind which the reductions stand.
  private let reducing: [Int]
  private let dropout: Dropout
  private let classifier: Linear

  /// A network for images of the given shape.
  public init(image: ImageShape, classes: Int, configuration: Configuration = Configuration()) {
    let (channels, affine) = (configuration.channels, configuration.affine)
    stem = Sequential(
      Conv2d(image.channels, channels, kernelSize: 3, padding: 1, bias: false),
      BatchNorm2d(channels))
    layers = (0..<configuration.layers).map { ENASMacroLayer($0, channels, affine: affine) }
    let third = configuration.layers / 3
    reducing = third > 0 ? [third - 1, 2 * third - 1] : []
    dropout = Dropout(configuration.dropout)
    classifier = Linear(channels, classes)
    super.init()
    reductions = reducing.map { layer in
      (0...layer + 1).map { _ in
        FactorizedReduce(channels, channels, affine: affine, activates: false)
      }
    }
  }

  /// `[N, C, H, W]` → `[N, classes]`.
  public func callAsFunction(_ images: Tensor) -> Tensor {
    var states = [stem(images)]
    for (number, layer) in layers.enumerated() {
      states.append(layer(states))
      guard let reduction = reducing.firstIndex(of: number) else { continue }
      for (index, reduce) in reductions[reduction].enumerated() {
        // Without a reduction nobody reads the state any more.
        if let reduce { states[index] = reduce(states[index]) }
      }
    }
    let features = globalAveragePool2d(states[layers.count]).flattened(from: 1)
    return classifier(dropout(features))
  }

  /// Forgets reductions of what no later layer reads.
  func prune() {
    for (reduction, layer) in reducing.enumerated() {
      for index in 0...layer where !layers[(layer + 1)...].contains(where: { $0.reads(index) }) {
        reductions[reduction][index] = nil
      }
    }
  }

  static let definition = SpaceDefinition(
    name: "enas-macro", summary: "a chain of layers of six operations with any skip connections",
    paper: "Pham et al. 2018, arXiv:1802.03268",
    settings: [
      SettingDescription("channels", "36", retraining: "96", "channels of every layer"),
      SettingDescription("layers", "12", "number of layers"),
      SettingDescription(
        "dropout", "0.1", retraining: "0.5", "share of features dropped before the classifier"),
    ],
    makeSupernet: { settings throws(SettingError) in
      try make(settings, channels: 36, dropout: 0.1, affine: false)
    },
    makeRetrainingNetwork: { settings throws(SettingError) in
      try make(settings, channels: 96, dropout: 0.5, affine: true)
    })

  private static func make(
    _ settings: SpaceSettings, channels: Int, dropout: Double, affine: Bool
  ) throws(SettingError) -> any SpaceModel {
    var configuration = Configuration()
    configuration.channels = try settings.integer("channels", default: channels, in: 2...1024)
    configuration.layers = try settings.integer("layers", default: 12, in: 1...100)
    configuration.dropout = Float(try settings.number("dropout", default: dropout, in: 0...0.95))
    configuration.affine = affine
    try settings.requireImage(atLeast: 4, for: "two reductions")
    return ENASMacroSpace(
      image: settings.image, classes: settings.classes, configuration: configuration)
  }
}

/// One operation on the layer before, plus any outputs of earlier ones, normalised.
final class ENASMacroLayer: MutableScope {
  private let operation: LayerChoice
  private let skip: InputChoice?
  private let norm: BatchNorm2d

  init(_ number: Int, _ channels: Int, affine: Bool) {
    let key = "layer_\(number)"
    operation = LayerChoice(
      named: ENASOperations.macro.map { name in
        (name, ENASOperations.branch(name, channels, affine: affine))
      }, key: "\(key)_op", synonyms: [:], integerNames: ENASOperations.macro)
    skip =
      number == 0
      ? nil : InputChoice(chooseFrom: (0..<number).map { "layer_\($0)" }, key: "\(key)_skip")
    norm = BatchNorm2d(channels, affine: affine)
    super.init(key: key)
  }

  /// The stem's output and those of all layers before → the same shape as the last of them.
  func callAsFunction(_ states: [Tensor]) -> Tensor {
    scoped {
      var sum = operation(states[states.count - 1])
      if let skipped = skip?(Array(states.dropLast())) { sum += skipped }
      return norm(sum)
    }
  }

  /// Whether the skip connections read a state, or may come to.
  func reads(_ state: Int) -> Bool {
    guard let skip, state < skip.count else { return false }
    return skip.applied?.active.contains(state) ?? true
  }
}
