/// The normal and the reduction cell of a DARTS-like network in DARTS' own notation.
///
/// Source: github.com/quark0/darts, cnn/genotypes.py.
public struct Genotype: Equatable, Sendable {
  /// An operation and the node whose output it takes; 0 and 1 are the cell's inputs.
  public struct Edge: Equatable, Sendable {
    /// The operation's name.
    public let operation: String
    /// The node it reads.
    public let predecessor: Int

    /// Creates an edge.
    public init(_ operation: String, _ predecessor: Int) {
      self.operation = operation
      self.predecessor = predecessor
    }
  }

  /// One cell.
  public struct Cell: Equatable, Sendable {
    /// Two edges for each node, in the order of nodes from 2.
    public let edges: [Edge]
    /// The nodes whose outputs are concatenated.
    public let concatenated: [Int]

    /// Creates a cell.
    public init(edges: [Edge], concatenated: [Int]) {
      self.edges = edges
      self.concatenated = concatenated
    }

    /// The nodes besides the inputs.
    public var nodeCount: Int { edges.count / 2 }

    /// What makes the cell impossible; nil when nothing does.
    var fault: String? {
      if edges.isEmpty || edges.count % 2 != 0 || edges.count > 64 {
        return "\(edges.count) edges, expected two for each of 1 to 32 nodes"
      }
      for (i, edge) in edges.enumerated() where !(0..<2 + i / 2).contains(edge.predecessor) {
        return "node \(2 + i / 2) reads node \(edge.predecessor), expected 0 to \(1 + i / 2)"
      }
      let nodes = 2..<2 + nodeCount
      let isDistinct = Set(concatenated).count == concatenated.count
      if concatenated.isEmpty || !isDistinct || !concatenated.allSatisfy(nodes.contains) {
        return "concatenation of \(concatenated.prefix(40)), expected nodes 2 to \(1 + nodeCount)"
      }
      return nil
    }
  }

  /// The cell that keeps the resolution.
  public let normal: Cell
  /// The cell that halves it.
  public let reduce: Cell

  /// Creates a genotype.
  public init(normal: Cell, reduce: Cell) {
    self.normal = normal
    self.reduce = reduce
  }

  /// The cells by DARTS' names.
  var cells: [(name: String, cell: Cell)] { [("normal", normal), ("reduce", reduce)] }
}

extension Genotype: CustomStringConvertible {
  /// DARTS' own line, `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), ...)`.
  public var description: String {
    let parts = cells.map { name, cell in
      let edges = cell.edges.map { "('\($0.operation)', \($0.predecessor))" }
      return "\(name)=[\(edges.joined(separator: ", "))], "
        + "\(name)_concat=\(Genotype.text(of: cell.concatenated))"
    }
    return "Genotype(\(parts.joined(separator: ", ")))"
  }

  /// A Python range where the numbers are one, else a list.
  private static func text(of numbers: [Int]) -> String {
    if let first = numbers.first, numbers == Array(first..<first + numbers.count) {
      return "range(\(first), \(first + numbers.count))"
    }
    return "[\(numbers.map(String.init).joined(separator: ", "))]"
  }
}
