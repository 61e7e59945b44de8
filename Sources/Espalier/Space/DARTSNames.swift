/// The names of DARTS' cell: its eight operations, what other systems call them, and the choices of
/// a cell under NNI's keys.
public enum DARTSNames {
  /// The official operations in their order.
  public static let operations = [
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5",
    "dil_conv_3x3", "dil_conv_5x5",
  ]

  /// The operations in NNI's order, in which integers count; NNI has no `none`.
  public static let integerOrder = Array(operations.dropFirst())

  /// NNI's names, and what they mean.
  public static let synonyms = [
    "maxpool": "max_pool_3x3", "avgpool": "avg_pool_3x3", "skipconnect": "skip_connect",
    "sepconv3x3": "sep_conv_3x3", "sepconv5x5": "sep_conv_5x5", "dilconv3x3": "dil_conv_3x3",
    "dilconv5x5": "dil_conv_5x5",
  ]

  /// The two cells of a network.
  public static let cells = ["normal", "reduce"]

  /// The key of the operation on the edge from a predecessor to a node; nodes count from 2, behind
  /// the cell's two inputs.
  public static func edgeKey(cell: String, node: Int, predecessor: Int) -> String {
    "\(cell)_n\(node)_p\(predecessor)"
  }

  /// The key of the choice of a node's two inputs.
  public static func switchKey(cell: String, node: Int) -> String { "\(cell)_n\(node)_switch" }

  /// The choices of both cells in NNI's order: for each node its edges, then its switch.
  ///
  /// - Parameters:
  ///   - nodes: The nodes of a cell besides its inputs; 4 in the paper.
  ///   - operations: The candidates on every edge.
  public static func choices(
    nodes: Int, operations: [String] = operations
  ) -> [ChoiceDescription] {
    cells.flatMap { cell in
      (2..<2 + nodes).flatMap { node in
        let edges = (0..<node).map { edgeKey(cell: cell, node: node, predecessor: $0) }
        return edges.map { key in
          ChoiceDescription(
            key: key, kind: .layer, candidateNames: operations, synonyms: synonyms,
            integerNames: integerOrder)
        } + [
          ChoiceDescription(
            key: switchKey(cell: cell, node: node), kind: .input, candidateNames: edges,
            chosenCount: 2)
        ]
      }
    }
  }
}
