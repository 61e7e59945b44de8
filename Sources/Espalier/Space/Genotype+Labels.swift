import EspalierNN

extension Genotype {
  /// Reads a DARTS cell under the labels of NNI 3: `normal/op_2_0` names the operation and
  /// `normal/input_2_0` the predecessor of the first edge of node 2.
  ///
  /// - Parameters:
  ///   - object: A mapping from label to choice.
  ///   - source: The file's name, for errors.
  /// - Returns: Nil when the mapping has other keys.
  init?(labels object: JSONObject, source: String) throws(ArchitectureError) {
    guard object["normal/op_2_0"] != nil else { return nil }
    var used = 0
    func cell(_ name: String) throws(ArchitectureError) -> Cell {
      var edges: [Edge] = []
      while object["\(name)/op_\(2 + edges.count / 2)_0"] != nil && edges.count < 64 {
        let node = 2 + edges.count / 2
        for input in 0..<2 {
          let label = "\(name)/op_\(node)_\(input)"
          guard case .string(let operation)? = object[label] else {
            throw .inexpressible(file: source, reason: "key '\(label)': expected an operation")
          }
          edges.append(Edge(operation, try predecessor("\(name)/input_\(node)_\(input)")))
          used += 2
        }
      }
      let cell = Cell(edges: edges, concatenated: Array(2..<2 + edges.count / 2))
      if let fault = cell.fault {
        throw .inexpressible(file: source, reason: "\(name) cell: \(fault)")
      }
      return cell
    }
    func predecessor(_ label: String) throws(ArchitectureError) -> Int {
      switch object[label] {
      case .integer(let node)?: return node
      case .array(let nodes)?:
        if nodes.count == 1, case .integer(let node) = nodes[0] { return node }
      default: break
      }
      throw .inexpressible(file: source, reason: "key '\(label)': expected one node")
    }
    self.init(normal: try cell("normal"), reduce: try cell("reduce"))
    guard used == object.count else {
      let known = Set(
        cells.flatMap { name, cell in
          cell.edges.indices.flatMap { i in
            ["op", "input"].map { "\(name)/\($0)_\(2 + i / 2)_\(i % 2)" }
          }
        })
      throw .keys(
        file: source, missing: [], unexpected: object.keys.filter { !known.contains($0) },
        nearest: [:])
    }
  }
}
