/// A block's operations, forward and backward, in the form that passes rewrite.
struct Graph {
  struct Node {
    var operation: any Operation
    var operands: [Int32]
    var results: [Int32]
    var scalars: [Scalar]
    var isBackward: Bool
    /// The recorded operation it came from, for messages.
    var origin: Int32
    /// Nodes are merged, fused and reordered only with nodes of the same number (`Record.barrier`).
    var barrier: Int32

    /// Whether it stands within a custom gradient's evaluation.
    var isEnclosed: Bool { barrier % 2 != 0 }
  }

  var nodes: [Node] = []
  /// Type of every value.
  var types: [TensorType] = []
  /// Values that come from outside, one an operand.
  var operands: [Int32] = []
  /// Values that leave the block.
  var results: [Int32] = []
  /// The upstream gradient of each result, where the backward has one.
  var upstream: [Int32?] = []
  /// The gradient of each operand, where one was wanted and exists.
  var gradients: [Int32?] = []

  /// Appends a value of the given type.
  mutating func makeValue(_ type: TensorType) -> Int32 {
    types.append(type)
    return Int32(types.count - 1)
  }

  /// Makes everything that reads an operand after it is overwritten in place read a copy instead.
  ///
  /// - Returns: The overwritten values; nothing may be an alias of them.
  mutating func protectOverwritten() -> Set<Int32> {
    guard nodes.contains(where: { $0.operation.hasEffect }) else { return [] }
    var lastUse: [Int32: Int] = [:]
    for (index, node) in nodes.enumerated() {
      for operand in node.operands { lastUse[operand] = index }
    }
    var overwritten: Set<Int32> = []
    var copies: [Int32: Int32] = [:]
    var protected: [Node] = []
    protected.reserveCapacity(nodes.count)
    for (index, var node) in nodes.enumerated() {
      for target in node.operation.effectTargets {
        let value = node.operands[target]
        overwritten.insert(value)
        overwritten.insert(node.results[target])
        guard lastUse[value] ?? 0 > index else { continue }
        let copy = makeValue(types[Int(value)])
        protected.append(
          Node(
            operation: Copy(carriesGradient: false, mayShareMemory: false), operands: [value],
            results: [copy], scalars: [], isBackward: node.isBackward, origin: node.origin,
            barrier: node.barrier))
        copies[value] = copy
      }
      if !copies.isEmpty {
        let targets = node.operation.effectTargets
        for k in node.operands.indices where !targets.contains(k) {
          node.operands[k] = copies[node.operands[k]] ?? node.operands[k]
        }
      }
      protected.append(node)
    }
    nodes = protected
    return overwritten
  }

  /// Puts nodes behind what makes their operands, where a pass moved that back; all else stays.
  mutating func sortByDependencies() {
    var missing = Set(nodes.flatMap(\.results))
    var sorted: [Node] = []
    sorted.reserveCapacity(nodes.count)
    var waiting: [Node] = []
    func isReady(_ node: Node) -> Bool { !node.operands.contains(where: missing.contains) }
    for node in nodes {
      guard isReady(node) else {
        waiting.append(node)
        continue
      }
      sorted.append(node)
      missing.subtract(node.results)
      while let next = waiting.firstIndex(where: isReady) {
        missing.subtract(waiting[next].results)
        sorted.append(waiting.remove(at: next))
      }
    }
    nodes = sorted + waiting
  }

  /// Values that must be computed whatever else happens.
  var roots: [Int32] { results + gradients.compactMap { $0 } }
}
