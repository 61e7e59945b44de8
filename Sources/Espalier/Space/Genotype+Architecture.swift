extension Genotype {
  /// The cells as an architecture with NNI's keys: an operation for each chosen edge, `[]` for the
  /// others, and a switch that names the two chosen edges of each node.
  ///
  /// - Parameter source: What the architecture says it was read from.
  /// - Throws: `.inexpressible` when a node reads the same node twice, when the output is not the
  ///   concatenation of all nodes or when the cells differ in size: the keys cannot say that.
  public func architecture(source: String = "genotype") throws(ArchitectureError) -> Architecture {
    var architecture = Architecture()
    architecture.source = source
    guard normal.nodeCount == reduce.nodeCount else {
      throw .inexpressible(
        file: source,
        reason: "cells of \(normal.nodeCount) and \(reduce.nodeCount) nodes have no common keys")
    }
    for (name, cell) in cells {
      let nodes = 2..<2 + cell.nodeCount
      guard cell.concatenated.sorted() == Array(nodes) else {
        throw .inexpressible(
          file: source,
          reason: "the \(name) cell concatenates \(cell.concatenated), the keys stand for all of "
            + "\(nodes.lowerBound) to \(nodes.upperBound - 1)")
      }
      for node in nodes {
        let edges = cell.edges[2 * (node - 2)..<2 * (node - 1)]
        for predecessor in 0..<node {
          let found = edges.filter { $0.predecessor == predecessor }
          guard found.count <= 1 else {
            throw .inexpressible(
              file: source,
              reason: "node \(node) of the \(name) cell reads node \(predecessor) twice, which the "
                + "keys cannot say")
          }
          let key = DARTSNames.edgeKey(cell: name, node: node, predecessor: predecessor)
          architecture[key] =
            found.first.map {
              .name(DARTSNames.synonyms[$0.operation] ?? $0.operation)
            } ?? ChoiceValue.none
        }
        let chosen = edges.map(\.predecessor).sorted()
        architecture[DARTSNames.switchKey(cell: name, node: node)] = .names(
          chosen.map { DARTSNames.edgeKey(cell: name, node: node, predecessor: $0) })
      }
    }
    return architecture
  }

  /// The cells of an architecture with NNI's keys; the switches decide which edges count.
  ///
  /// - Parameters:
  ///   - architecture: Keys `normal_n2_p0`, `normal_n2_switch` and so on, values in any form.
  ///   - nodes: The nodes of a cell besides its inputs; nil counts the switches.
  public init(_ architecture: Architecture, nodes: Int? = nil) throws(ArchitectureError) {
    let counted = architecture.keys.filter { $0.hasPrefix("normal_n") && $0.hasSuffix("_switch") }
    let count = max(1, min(nodes ?? counted.count, 32))
    let choices = try architecture.resolved(against: DARTSNames.choices(nodes: count))
    var cells: [Cell] = []
    for cell in DARTSNames.cells {
      var edges: [Edge] = []
      for node in 2..<2 + count {
        let key = DARTSNames.switchKey(cell: cell, node: node)
        guard let chosen = choices[key], chosen.active.count == 2 else {
          throw .inexpressible(
            file: architecture.source, reason: "'\(key)' does not choose two edges")
        }
        for predecessor in chosen.active {
          let key = DARTSNames.edgeKey(cell: cell, node: node, predecessor: predecessor)
          guard let operation = choices[key], operation.active.count == 1 else {
            throw .inexpressible(
              file: architecture.source,
              reason: "'\(key)' is chosen by its switch and does not name one operation")
          }
          edges.append(Edge(DARTSNames.operations[operation.active[0]], predecessor))
        }
      }
      cells.append(Cell(edges: edges, concatenated: Array(2..<2 + count)))
    }
    self.init(normal: cells[0], reduce: cells[1])
  }
}
