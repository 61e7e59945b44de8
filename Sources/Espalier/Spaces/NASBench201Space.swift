/// The space of NAS-Bench-201 (arXiv:2001.00326): one cell of four nodes, repeated in three stages.
///
/// Node j adds up one operation on every earlier node; the edge from node i to node j has the key
/// `i_j`, as in NNI. All cells share their decisions. A residual block of stride 2 stands between
/// stages.
public final class NASBench201Space: Module, SpaceModel {
  /// Sizes of a network.
  public struct Configuration: Sendable {
    /// Channels of the first stage; the others have twice and four times as many.
    public var channels = 16
    /// Cells a stage.
    public var cells = 5
    /// Whether the batch norms of cells are affine: not in the authors' search, in their training.
    public var affine = false

    /// The authors' sizes.
    public init() {}
  }

  /// The operations in the order in which the benchmark counts them.
  public static let operations = [
    "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3",
  ]
  /// NNI's names.
  static let synonyms = ["conv_1x1": "nor_conv_1x1", "conv_3x3": "nor_conv_3x3"]

  private let stem: Sequential
  private let cells: [any Layer]
  private let last: Sequential
  private let classifier: Linear

  /// A network for images of the given shape.
  public init(image: ImageShape, classes: Int, configuration: Configuration = Configuration()) {
    let (channels, affine) = (configuration.channels, configuration.affine)
    stem = Sequential(
      Conv2d(image.channels, channels, kernelSize: 3, padding: 1, bias: false),
      BatchNorm2d(channels))
    var cells: [any Layer] = []
    for stage in 0..<3 {
      let width = channels << stage
      if stage > 0 { cells.append(ResidualReduction(width / 2, width)) }
      for _ in 0..<configuration.cells { cells.append(NASBench201Cell(width, affine: affine)) }
    }
    self.cells = cells
    last = Sequential(BatchNorm2d(4 * channels), ReLU())
    classifier = Linear(4 * channels, classes)
  }

  /// `[N, C, H, W]` → `[N, classes]`.
  public func callAsFunction(_ images: Tensor) -> Tensor {
    var x = stem(images)
    for cell in cells { x = cell(x) }
    return classifier(globalAveragePool2d(last(x)).flattened(from: 1))
  }

  static let definition = SpaceDefinition(
    name: "nas-bench-201", summary: "a cell of six edges with five operations, in three stages",
    paper: "Dong & Yang 2020, arXiv:2001.00326",
    settings: [
      SettingDescription("channels", "16", "channels of the first stage"),
      SettingDescription("cells", "5", "cells a stage"),
      SettingDescription(
        "affine", "false", retraining: "true", "whether the batch norms of cells are affine"),
    ],
    makeSupernet: { settings throws(SettingError) in try make(settings, affine: false) },
    makeRetrainingNetwork: { settings throws(SettingError) in try make(settings, affine: true) })

  private static func make(_ settings: SpaceSettings, affine: Bool) throws(SettingError)
    -> any SpaceModel
  {
    var configuration = Configuration()
    configuration.channels = try settings.integer("channels", default: 16, in: 1...1024)
    configuration.cells = try settings.integer("cells", default: 5, in: 1...100)
    configuration.affine = try settings.values.flag("affine", default: affine)
    try settings.requireImage(atLeast: 4, for: "two reductions")
    return NASBench201Space(
      image: settings.image, classes: settings.classes, configuration: configuration)
  }
}

/// Four nodes; each adds up one operation on every earlier one.
final class NASBench201Cell: MutableScope, Layer {
  /// By node from the second on, then by input.
  private let edges: [[LayerChoice]]

  init(_ channels: Int, affine: Bool) {
    edges = (1..<4).map { node in
      (0..<node).map { input in
        LayerChoice(
          named: NASBench201Space.operations.map { name in
            (name, NASBench201Cell.operation(name, channels, affine: affine))
          },
          key: "\(input)_\(node)", synonyms: NASBench201Space.synonyms,
          integerNames: NASBench201Space.operations)
      }
    }
    super.init(key: "cell")
  }

  private static func operation(_ name: String, _ channels: Int, affine: Bool) -> any Layer {
    switch name {
    case "none": Zero(stride: 1)
    case "skip_connect": Identity()
    case "nor_conv_1x1": preactivated(channels, channels, 1, affine: affine)
    case "nor_conv_3x3": preactivated(channels, channels, 3, affine: affine)
    case "avg_pool_3x3": AveragePool2d(3, stride: 1, padding: 1, countIncludePad: false)
    default: preconditionFailure("no NAS-Bench-201 operation \(name)")
    }
  }

  /// The shape stays.
  func callAsFunction(_ x: Tensor) -> Tensor {
    scoped {
      var nodes = [x]
      for incoming in edges { nodes.append(addAll(zip(incoming, nodes).map { $0($1) })) }
      return nodes[3]
    }
  }
}

/// ReLU, convolution, batch norm.
private func preactivated(
  _ from: Int, _ to: Int, _ size: Int, stride: Int = 1, affine: Bool = true
) -> any Layer {
  Sequential(
    ReLU(),
    Conv2d(
      from, to, kernelSize: IntPair(size, size), stride: IntPair(stride, stride),
      padding: IntPair(size / 2, size / 2), bias: false),
    BatchNorm2d(to, affine: affine))
}

/// The residual block between two stages: half the size, twice the channels.
private final class ResidualReduction: Module, Layer {
  private let first: any Layer
  private let second: any Layer
  private let shortcut: Conv2d

  init(_ from: Int, _ to: Int) {
    first = preactivated(from, to, 3, stride: 2)
    second = preactivated(to, to, 3)
    shortcut = Conv2d(from, to, kernelSize: 1, bias: false)
  }

  /// `[N, C, H, W]` → `[N, 2C, H / 2, W / 2]`; odd sizes are padded by a row and a column.
  func callAsFunction(_ x: Tensor) -> Tensor {
    let (h, w) = (x.shape[2] % 2, x.shape[3] % 2)
    let even = h + w == 0 ? x : x.padded([(0, 0), (0, 0), (0, h), (0, w)])
    return second(first(x)) + shortcut(averagePool2d(even, kernelSize: 2, stride: 2))
  }
}
