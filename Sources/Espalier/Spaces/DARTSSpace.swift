/// The DARTS space for images (arXiv:1806.09055): two kinds of cell, each a graph of mixed edges.
///
/// Keys are NNI's: `normal_n2_p0` is the operation on the edge from input 0 to the first node,
/// `normal_n2_switch` chooses two of a node's edges. Cells of one kind share all decisions.
public final class DARTSSpace: Module, SpaceModel {
  /// Sizes of a network.
  public struct Configuration: Sendable {
    /// Channels of the first cells; the stem has three times as many.
    public var channels = 16
    /// Number of cells; those at one and two thirds halve the image.
    public var cells = 8
    /// Intermediate nodes of a cell.
    public var nodes = 4
    /// Whether batch norm is affine: not in the search, in the retraining.
    public var affine = false
    /// Whether a second head trains along at two thirds of the depth.
    public var auxiliary = false

    /// The search network's sizes.
    public init() {}
  }

  private let stem: Sequential
  private let cells: [DARTSCell]
  private let auxiliaryHead: AuxiliaryHead?
  private let auxiliaryCell: Int
  private let classifier: Linear

  /// The probability with which an edge's operation is dropped while training.
  public var dropPathRate: Float = 0 {
    didSet { for cell in cells { cell.dropPath.rate = dropPathRate } }
  }

  /// A network for images of the given shape.
  public init(image: ImageShape, classes: Int, configuration: Configuration = Configuration()) {
    let c = configuration
    stem = Sequential(
      Conv2d(image.channels, 3 * c.channels, kernelSize: 3, padding: 1, bias: false),
      BatchNorm2d(3 * c.channels))
    var cells: [DARTSCell] = []
    var (beforeLast, last, current) = (3 * c.channels, 3 * c.channels, c.channels)
    var lastReduces = false
    auxiliaryCell = 2 * c.cells / 3
    var head: AuxiliaryHead?
    for index in 0..<c.cells {
      let reduces = c.cells > 2 && (index == c.cells / 3 || index == 2 * c.cells / 3)
      if reduces { current *= 2 }
      cells.append(
        DARTSCell(
          beforeLast, last, current, nodes: c.nodes, reduces: reduces, lastReduces: lastReduces,
          affine: c.affine))
      (beforeLast, last, lastReduces) = (last, c.nodes * current, reduces)
      if c.auxiliary && index == auxiliaryCell { head = AuxiliaryHead(last, classes) }
    }
    self.cells = cells
    auxiliaryHead = head
    classifier = Linear(last, classes)
  }

  /// `[N, C, H, W]` → `[N, classes]`.
  public func callAsFunction(_ images: Tensor) -> Tensor { withAuxiliary(images).scores }

  /// Scores and, while training, the auxiliary head's.
  public func withAuxiliary(_ images: Tensor) -> (scores: Tensor, auxiliary: Tensor?) {
    var s0 = stem(images)
    var s1 = s0
    var auxiliary: Tensor?
    for (index, cell) in cells.enumerated() {
      (s0, s1) = (s1, cell(s0, s1))
      if index == auxiliaryCell && Mode.current.isTraining {
        auxiliary = auxiliaryHead.map { $0(s1) }
      }
    }
    return (classifier(globalAveragePool2d(s1).flattened(from: 1)), auxiliary)
  }

  static let definition = SpaceDefinition(
    name: "darts", summary: "cells of mixed edges with the official eight primitives",
    paper: "Liu et al. 2019, arXiv:1806.09055",
    settings: [
      SettingDescription("channels", "16", retraining: "36", "channels of the first cells"),
      SettingDescription("cells", "8", retraining: "20", "number of cells"),
      SettingDescription("nodes", "4", "intermediate nodes of a cell"),
      SettingDescription(
        "auxiliary_weight", "0.4", "retraining: weight of the auxiliary head's loss; 0: no head"),
    ],
    makeSupernet: { settings throws(SettingError) in
      try make(settings, channels: 16, cells: 8, isRetraining: false)
    },
    makeRetrainingNetwork: { settings throws(SettingError) in
      try make(settings, channels: 36, cells: 20, isRetraining: true)
    })

  private static func make(
    _ settings: SpaceSettings, channels: Int, cells: Int, isRetraining: Bool
  ) throws(SettingError) -> any SpaceModel {
    var configuration = Configuration()
    configuration.channels = try settings.integer("channels", default: channels, in: 2...1024)
    configuration.cells = try settings.integer("cells", default: cells, in: 1...100)
    configuration.nodes = try settings.integer("nodes", default: 4, in: 1...12)
    configuration.affine = isRetraining
    let weight = try settings.number("auxiliary_weight", default: 0.4, in: 0...10)
    configuration.auxiliary = isRetraining && weight > 0
    guard configuration.channels % 2 == 0 else {
      throw SettingError(
        name: "channels", value: "\(configuration.channels)", expected: "an even number")
    }
    try settings.requireImage(atLeast: 8, for: "two reductions")
    return DARTSSpace(
      image: settings.image, classes: settings.classes, configuration: configuration)
  }
}

/// One cell: nodes that add up operations on what came before, and their concatenation.
final class DARTSCell: MutableScope {
  private let preprocess0: any Layer
  private let preprocess1: any Layer
  private let edges: [[LayerChoice]]
  private let switches: [InputChoice]
  let dropPath = DropPath()

  init(
    _ beforeLast: Int, _ last: Int, _ channels: Int, nodes: Int, reduces: Bool, lastReduces: Bool,
    affine: Bool
  ) {
    let kind = reduces ? "reduce" : "normal"
    preprocess0 =
      lastReduces
      ? FactorizedReduce(beforeLast, channels, affine: affine)
      : DARTSOperations.preprocess(beforeLast, channels, affine: affine)
    preprocess1 = DARTSOperations.preprocess(last, channels, affine: affine)
    var edges: [[LayerChoice]] = []
    var switches: [InputChoice] = []
    for node in 0..<nodes {
      let incoming = (0..<node + 2).map { predecessor in
        LayerChoice(
          named: DARTSNames.operations.map { name in
            (
              name,
              DARTSOperations.make(
                name, channels, stride: reduces && predecessor < 2 ? 2 : 1, affine: affine)
            )
          },
          key: DARTSNames.edgeKey(cell: kind, node: node + 2, predecessor: predecessor),
          synonyms: DARTSNames.synonyms, integerNames: DARTSNames.integerOrder)
      }
      edges.append(incoming)
      switches.append(
        InputChoice(
          chooseFrom: incoming.compactMap(\.explicitKey), chosenCount: min(2, node + 2),
          key: DARTSNames.switchKey(cell: kind, node: node + 2)))
    }
    self.edges = edges
    self.switches = switches
    super.init(key: kind)
  }

  /// The two inputs, then each node's edges and switch, so that edges come before their switch.
  override var children: [(name: String, member: any ModuleMember)] {
    var list: [(String, any ModuleMember)] = [
      ("preprocess0", preprocess0), ("preprocess1", preprocess1),
    ]
    var number = 0
    for (node, incoming) in edges.enumerated() {
      for edge in incoming {
        list.append(("_ops.\(number)", edge))
        number += 1
      }
      list.append(("switches.\(node)", switches[node]))
    }
    return list
  }

  /// `[N, C₋₂, …]` and `[N, C₋₁, …]` → `[N, nodes · channels, H, W]`.
  func callAsFunction(_ s0: Tensor, _ s1: Tensor) -> Tensor {
    scoped {
      var states = [preprocess0(s0), preprocess1(s1)]
      for (node, incoming) in edges.enumerated() {
        let results = zip(incoming, states).map { edge, state in
          let result = edge(state)
          let isSkip = edge.applied != nil && edge.candidates.first?.layer is Identity
          return dropPath.rate > 0 && !isSkip ? dropPath(result) : result
        }
        guard let sum = switches[node](results) else {
          preconditionFailure("a node of a DARTS cell has no input")
        }
        states.append(sum)
      }
      return concatenate(Array(states.dropFirst(2)))
    }
  }
}

/// A second classifier that trains along, for images of any size: pool, two convolutions, linear.
final class AuxiliaryHead: Module {
  private let features: Sequential
  private let classifier: Linear

  init(_ channels: Int, _ classes: Int) {
    features = Sequential(
      ReLU(), Conv2d(channels, 128, kernelSize: 1, bias: false), BatchNorm2d(128), ReLU(),
      Conv2d(128, 768, kernelSize: 2, padding: 1, bias: false), BatchNorm2d(768), ReLU())
    classifier = Linear(768, classes)
  }

  /// `[N, C, H, W]` → `[N, classes]`.
  func callAsFunction(_ x: Tensor) -> Tensor {
    let side = min(x.shape[2], x.shape[3])
    let pooled =
      side >= 5
      ? averagePool2d(x, kernelSize: 5, stride: side > 7 ? 3 : 2, countIncludePad: false) : x
    return classifier(globalAveragePool2d(features(pooled)).flattened(from: 1))
  }
}
