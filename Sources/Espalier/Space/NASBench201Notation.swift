extension Architecture {
  /// Reads a cell of NAS-Bench-201 as its paper writes it:
  /// `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|`.
  ///
  /// The edge from node i to node j gets the key `i_j`, as in NNI; nodes count from 0, the cell's
  /// input.
  ///
  /// - Parameters:
  ///   - text: The cell; any number of nodes.
  ///   - source: The file's name, for errors.
  public init(nasBench201 text: String, source: String) throws(ArchitectureError) {
    self.init()
    self.source = source
    var column = 1
    let trimmed = text.drop { $0.isWhitespace }
    column += text.count - trimmed.count
    var lines = trimmed[...]
    while lines.last?.isWhitespace == true { lines = lines.dropLast() }
    for (previous, node) in lines.split(separator: "+", omittingEmptySubsequences: false)
      .enumerated()
    {
      guard node.count >= 2, node.first == "|", node.last == "|" else {
        throw .notation(
          file: source, column: column, found: Architecture.excerpt(node),
          expected: "|operation~node|...|")
      }
      column += 1
      let edges = node.dropFirst().dropLast().split(
        separator: "|", omittingEmptySubsequences: false)
      guard edges.count == previous + 1 else {
        throw .notation(
          file: source, column: column, found: "\(edges.count) edges into node \(previous + 1)",
          expected: "\(previous + 1)")
      }
      for (input, edge) in edges.enumerated() {
        let parts = edge.split(separator: "~", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, parts[1] == "\(input)" else {
          throw .notation(
            file: source, column: column, found: Architecture.excerpt(edge),
            expected: "operation~\(input)")
        }
        self["\(input)_\(previous + 1)"] = .name(String(parts[0]))
        column += edge.count + 1
      }
      column += 1
    }
  }

  /// The cell as NAS-Bench-201's paper writes it; nil when the keys are not those of such a cell or
  /// an edge does not name one operation.
  public var nasBench201Text: String? {
    var nodes: [String] = []
    var count = 0
    for node in 1... {
      guard count < keys.count else { break }
      var edges = "|"
      for input in 0..<node {
        guard case .name(let operation)? = self["\(input)_\(node)"] else { return nil }
        edges += "\(operation)~\(input)|"
        count += 1
      }
      nodes.append(edges)
    }
    return nodes.isEmpty || count != keys.count ? nil : nodes.joined(separator: "+")
  }

  private static func excerpt(_ text: some StringProtocol) -> String {
    text.isEmpty ? "nothing" : "'\(text.prefix(40))'"
  }
}
