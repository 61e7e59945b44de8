/// The micro space of ENAS (arXiv:1802.03268): two kinds of cell, each node of which adds up two
/// operations on two earlier nodes.
///
/// Keys are NNI's: `normal_node_0_x_input` is the first input of a normal cell's first node,
/// `normal_node_0_x_op` the operation on it. As in NNI an operation's weights serve whatever input is
/// taken, separable convolutions are not stacked, and reduction cells halve their inputs first.
public final class ENASMicroSpace: Module, SpaceModel {
  /// Sizes of a network.
  public struct Configuration: Sendable {
    /// Channels of the first cells; the stem has three times as many.
    public var channels = 20
    /// Number of normal cells, beside two reduction cells.
    public var cells = 6
    /// Nodes of a cell besides its inputs.
    public var nodes = 5
    /// Whether all batch norms are affine: not in NNI's search, in the authors' training.
    public var affine = false
    /// Share of the features that is dropped before the classifier.
    public var dropout: Float = 0.1
    /// Whether a second head trains along behind the first cell after the last reduction.
    public var auxiliary = false

    /// The search network's sizes.
    public init() {}
  }

  private let stem: Sequential
  private let cells: [ENASMicroCell]
  private let auxiliaryHead: AuxiliaryHead?
  private let auxiliaryCell: Int
  private let dropout: Dropout
  private let classifier: Linear

  /// The probability with which the operations of the last cell are dropped while training; it grows
  /// with the depth, as in the authors' code.
  public var dropPathRate: Float = 0 {
    didSet {
      for (number, cell) in cells.enumerated() {
        cell.dropPathRate = dropPathRate * Float(number + 1) / Float(cells.count)
      }
    }
  }

  /// A network for images of the given shape.
  public init(image: ImageShape, classes: Int, configuration: Configuration = Configuration()) {
    let c = configuration
    stem = Sequential(
      Conv2d(image.channels, 3 * c.channels, kernelSize: 3, padding: 1, bias: false),
      BatchNorm2d(3 * c.channels))
    var cells: [ENASMicroCell] = []
    let reducing = [c.cells / 3, 2 * (c.cells / 3) + 1]
    var (beforeLast, last, current) = (3 * c.channels, 3 * c.channels, c.channels)
    auxiliaryCell = reducing[1] + 1
    var head: AuxiliaryHead?
    for number in 0..<c.cells + 2 {
      let reduces = reducing.contains(number)
      if reduces { current *= 2 }
      cells.append(
        ENASMicroCell(
          beforeLast, last, current, nodes: c.nodes, reduces: reduces, affine: c.affine))
      (beforeLast, last) = (reduces ? current : last, current)
      if c.auxiliary && number == auxiliaryCell { head = AuxiliaryHead(last, classes) }
    }
    self.cells = cells
    auxiliaryHead = head
    dropout = Dropout(c.dropout)
    classifier = Linear(last, classes)
  }

  /// `[N, C, H, W]` → `[N, classes]`.
  public func callAsFunction(_ images: Tensor) -> Tensor { withAuxiliary(images).scores }

  /// Scores and, while training, the auxiliary head's.
  public func withAuxiliary(_ images: Tensor) -> (scores: Tensor, auxiliary: Tensor?) {
    var s0 = stem(images)
    var s1 = s0
    var auxiliary: Tensor?
    for (number, cell) in cells.enumerated() {
      (s0, s1) = cell(s0, s1)
      if number == auxiliaryCell && Mode.current.isTraining {
        auxiliary = auxiliaryHead.map { $0(s1) }
      }
    }
    let features = globalAveragePool2d(relu(s1)).flattened(from: 1)
    return (classifier(dropout(features)), auxiliary)
  }

  static let definition = SpaceDefinition(
    name: "enas-micro", summary: "cells whose nodes add up two operations on any two before them",
    paper: "Pham et al. 2018, arXiv:1802.03268",
    settings: [
      SettingDescription("channels", "20", retraining: "36", "channels of the first cells"),
      SettingDescription(
        "cells", "6", retraining: "15", "normal cells, beside two reduction cells"),
      SettingDescription("nodes", "5", "nodes of a cell besides its inputs"),
      SettingDescription(
        "dropout", "0.1", retraining: "0.2", "share of features dropped before the classifier"),
      SettingDescription(
        "auxiliary_weight", "0.4", "retraining: weight of the auxiliary head's loss; 0: no head"),
    ],
    makeSupernet: { settings throws(SettingError) in try make(settings, isRetraining: false) },
    makeRetrainingNetwork: { settings throws(SettingError) in
      try make(settings, isRetraining: true)
    })

  private static func make(_ settings: SpaceSettings, isRetraining: Bool) throws(SettingError)
    -> any SpaceModel
  {
    var configuration = Configuration()
    configuration.channels = try settings.integer(
      "channels", default: isRetraining ? 36 : 20, in: 2...1024)
    configuration.cells = try settings.integer(
      "cells", default: isRetraining ? 15 : 6, in: 1...100)
    configuration.nodes = try settings.integer("nodes", default: 5, in: 1...12)
    configuration.dropout = Float(
      try settings.number("dropout", default: isRetraining ? 0.2 : 0.1, in: 0...0.95))
    configuration.affine = isRetraining
    let weight = try settings.number("auxiliary_weight", default: 0.4, in: 0...10)
    configuration.auxiliary = isRetraining && weight > 0
    try settings.requireImage(atLeast: 4, for: "two reductions")
    return ENASMicroSpace(
      image: settings.image, classes: settings.classes, configuration: configuration)
  }
}
