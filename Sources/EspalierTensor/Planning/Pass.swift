/// A rewrite of a block's graph; each can be switched off to find what broke.
struct Pass: Sendable {
  let name: String
  let apply: @Sendable (inout Graph) -> Void

  /// Drops operations whose results nobody uses.
  static let dropUnused = Pass(name: "drop-unused") { graph in
    var used = [Bool](repeating: false, count: graph.types.count)
    for root in graph.roots { used[Int(root)] = true }
    var kept: [Graph.Node] = []
    for node in graph.nodes.reversed() {
      guard node.operation.hasEffect || node.results.contains(where: { used[Int($0)] }) else {
        continue
      }
      for operand in node.operands { used[Int(operand)] = true }
      kept.append(node)
    }
    graph.nodes = kept.reversed()
  }

  /// Computes equal parts once: what gradients of several operations have in common, for example.
  ///
  /// Equal parts of the forward pass were merged before it was differentiated (`EqualRecords`).
  static let mergeEqual = Pass(name: "merge-equal") { graph in
    struct Key: Hashable {
      let operation: AnyHashable
      let operands: [Int32]
      let isBackward: Bool
      let barrier: Int32
    }
    var seen: [Key: [Int32]] = [:]
    var replacement: [Int32: Int32] = [:]
    let fixed = Set(graph.roots)
    var kept: [Graph.Node] = []
    for var node in graph.nodes {
      node.operands = node.operands.map { replacement[$0] ?? $0 }
      // A scalar's value is unknown here, so only operations without any can be equal.
      if !node.operation.hasEffect && node.scalars.isEmpty {
        let key = Key(
          operation: AnyHashable(node.operation), operands: node.operands,
          isBackward: node.isBackward, barrier: node.barrier)
        if let known = seen[key], !node.results.contains(where: { fixed.contains($0) }) {
          for (old, new) in zip(node.results, known) { replacement[old] = new }
          continue
        }
        seen[key] = node.results
      }
      kept.append(node)
    }
    graph.nodes = kept
  }
}
