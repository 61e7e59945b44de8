extension Pass {
  /// Adds the gradients of all branches of one source up in scratch, image by image.
  static let sumSourceGradients = Pass(name: "sum-source-gradients") { graph in
    SourceGradientMatcher(graph).run(&graph)
  }

  /// Takes the sums that the backward of a source's batch norm needs while its gradient is made.
  static let fuseSourceSums = Pass(name: "fuse-source-sums") { graph in
    let index = GraphIndex(graph)
    var removed: Set<Int> = []
    for number in graph.nodes.indices {
      let node = graph.nodes[number]
      guard var operation = node.operation as? ReluDepthwisePointwiseBackward,
        operation.source.hasMoments, index.isOpen(number)
      else { continue }
      let operands = [node.operands[0], node.results[0], node.operands[1], node.operands[2]]
      let sums = index.users(of: node.results[0]).first {
        (graph.nodes[$0].operation as? BatchNormSums)?.epsilon == operation.source.epsilon
          && graph.nodes[$0].operands == operands && index.areTogether([number, $0])
      }
      guard let sums else { continue }
      operation.wantsSourceSums = true
      graph.nodes[number].operation = operation
      graph.nodes[number].results.insert(graph.nodes[sums].results[0], at: 1)
      removed.insert(sums)
    }
    graph.nodes = graph.nodes.enumerated().compactMap { removed.contains($0) ? nil : $1 }
  }
}

/// Finds the fused backwards whose gradients of one source go into one sum.
private struct SourceGradientMatcher {
  private let index: GraphIndex
  private var graph: Graph { index.graph }

  init(_ graph: Graph) { index = GraphIndex(graph) }

  private struct Key: Hashable {
    let sum: Int
    let source: FusedSource
    let operands: [Int32]
  }

  func run(_ graph: inout Graph) {
    var groups: [Key: [Int]] = [:]
    for (number, node) in graph.nodes.enumerated() {
      guard let operation = node.operation as? ReluDepthwisePointwiseBackward,
        index.isOpen(number), let sum = index.onlyUser(of: node.results[0]),
        isPlainTerm(node.results[0], of: sum), index.areTogether([number, sum])
      else { continue }
      let source = Array(node.operands[..<operation.source.operandCount])
      groups[Key(sum: sum, source: operation.source, operands: source), default: []].append(number)
    }
    var removed: Set<Int> = []
    for (key, members) in groups.sorted(by: { $0.value[0] < $1.value[0] }) where members.count > 1 {
      // Where the last of them stands all upstream gradients are there.
      let last = members[members.count - 1]
      graph.nodes[last] = joined(members.map { self.graph.nodes[$0] })
      removed.formUnion(members.dropLast())
      let dropped = Set(members.dropLast().map { self.graph.nodes[$0].results[0] })
      removeTerms(dropped, of: key.sum, &graph)
    }
    guard !removed.isEmpty else { return }
    graph.nodes = graph.nodes.enumerated().compactMap { removed.contains($0) ? nil : $1 }
    graph.sortByDependencies()
  }

  private func joined(_ nodes: [Graph.Node]) -> Graph.Node {
    var joined = nodes[nodes.count - 1]
    let operations = nodes.compactMap { $0.operation as? ReluDepthwisePointwiseBackward }
    let source = operations[0].source
    joined.operation = ReluDepthwisePointwiseBackward(
      source: source, branches: operations.flatMap(\.branches))
    joined.operands =
      Array(nodes[0].operands[..<source.operandCount])
      + nodes.flatMap { $0.operands[source.operandCount...] }
    joined.results = [joined.results[0]] + nodes.flatMap { $0.results[1...] }
    return joined
  }

  /// The terms of a sum: operands of each, by what they are.
  private func terms(_ node: Graph.Node) -> [(term: CombineTerm, operands: [Int32])] {
    if let sum = node.operation as? Combine, !sum.isWeighted {
      return node.operands.map { (CombineTerm(), [$0]) }
    }
    guard let sum = node.operation as? CombineNormalized else { return [] }
    var rest = node.operands[...]
    return sum.terms.map { term in
      let count = 1 + (term.isNormalized ? 2 : 0) + (term.isWeighted ? 1 : 0)
      defer { rest = rest.dropFirst(count) }
      return (term, Array(rest.prefix(count)))
    }
  }

  private func isPlainTerm(_ value: Int32, of sum: Int) -> Bool {
    let node = graph.nodes[sum]
    return node.isBackward
      && terms(node).contains { $0.term == CombineTerm() && $0.operands == [value] }
      && node.operands.filter { $0 == value }.count == 1
  }

  private func removeTerms(_ values: Set<Int32>, of sum: Int, _ graph: inout Graph) {
    let kept = terms(graph.nodes[sum]).filter {
      $0.operands.count > 1 || !values.contains($0.operands[0])
    }
    graph.nodes[sum].operands = kept.flatMap(\.operands)
    if kept.count == 1 && kept[0].term == CombineTerm() {
      graph.nodes[sum].operation = Copy(carriesGradient: false)
    } else if graph.nodes[sum].operation is Combine {
      graph.nodes[sum].operation = Combine(count: kept.count, isWeighted: false)
    } else {
      graph.nodes[sum].operation = CombineNormalized(terms: kept.map(\.term))
    }
  }
}
