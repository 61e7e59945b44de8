/// Who makes and who uses each value of a graph, for passes that match patterns.
struct GraphIndex {
  let graph: Graph
  private var makers: [Int32: Int] = [:]
  private var users: [Int32: [Int]] = [:]
  /// Values that must be computed whatever a pass rewrites.
  let roots: Set<Int32>

  init(_ graph: Graph) {
    self.graph = graph
    var roots = Set(graph.roots)
    for (index, node) in graph.nodes.enumerated() {
      guard !node.isEnclosed else {
        // A custom gradient's evaluation is left as it is, and so is what it needs.
        roots.formUnion(node.operands)
        continue
      }
      for result in node.results { makers[result] = index }
      for operand in Set(node.operands) { users[operand, default: []].append(index) }
    }
    self.roots = roots
  }

  /// Whether a pass may rewrite the node: not within a custom gradient's evaluation.
  func isOpen(_ number: Int) -> Bool { !graph.nodes[number].isEnclosed }

  /// Whether no barrier stands between the nodes, so that one can do the work of all.
  func areTogether(_ numbers: [Int]) -> Bool {
    numbers.allSatisfy { graph.nodes[$0].barrier == graph.nodes[numbers[0]].barrier }
  }

  /// The number of the node that makes a value; nil for one from outside or out of reach.
  func maker(of value: Int32) -> Int? { makers[value] }

  /// The numbers of the nodes that use a value, in order.
  func users(of value: Int32) -> [Int] { users[value] ?? [] }

  /// The node that makes a value, if its operation is of the given kind.
  func maker<O: Operation>(of value: Int32, _ kind: O.Type) -> (node: Graph.Node, operation: O)? {
    guard let index = makers[value], let operation = graph.nodes[index].operation as? O else {
      return nil
    }
    return (graph.nodes[index], operation)
  }

  /// The number of the only node that uses a value, which nobody else needs.
  func onlyUser(of value: Int32) -> Int? {
    guard !roots.contains(value), let list = users[value], list.count == 1 else { return nil }
    return list[0]
  }
}
