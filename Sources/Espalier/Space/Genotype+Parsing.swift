import EspalierNN

extension Genotype {
  /// Whether a text is in DARTS' notation, perhaps after a name and an equals sign.
  static func isNotation(_ text: String) -> Bool {
    let head = text.prefix(200)
    guard let call = head.firstRange(of: "Genotype(") else { return false }
    let before = head[..<call.lowerBound].filter { !$0.isWhitespace }
    return before.isEmpty
      || before.last == "="
        && before.dropLast().allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
  }

  /// Reads DARTS' line: `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6),
  /// reduce=[...], reduce_concat=range(2, 6))`.
  ///
  /// Also read are pairs nested by node, lists instead of `range`, any white space of Python and a
  /// name with an equals sign in front.
  ///
  /// - Parameters:
  ///   - text: The line.
  ///   - source: The file's name, for errors.
  public init(parsing text: String, source: String = "genotype") throws(ArchitectureError) {
    var parser = GenotypeParser(text: Array(text.utf8), source: source)
    self = try parser.parse()
  }

  /// Reads a genotype from JSON: a mapping from stage to line (CDARTS), or a mapping of `normal`,
  /// `normal_concat`, `reduce` and `reduce_concat`.
  ///
  /// - Parameters:
  ///   - json: The value.
  ///   - stage: Which stage; nil for the last, by number.
  ///   - source: The file's name, for errors.
  /// - Returns: Nil when the value is neither.
  public init?(
    stages json: JSONValue, stage: String? = nil, source: String
  ) throws(ArchitectureError) {
    guard case .object(let object) = json, object.count > 0 else { return nil }
    if let cells = try Genotype.cells(in: object, source: source) {
      self = cells
      return
    }
    var lines: [String: String] = [:]
    for key in object.keys {
      guard case .string(let line)? = object[key], Genotype.isNotation(line) else { return nil }
      lines[key] = line
    }
    let last = lines.keys.max { left, right in
      (Int(left) ?? -1, left) < (Int(right) ?? -1, right)
    }
    guard let key = stage ?? last, let line = lines[key] else {
      throw .inexpressible(
        file: source,
        reason:
          "no stage '\(stage ?? "")'; there are \(lines.keys.sorted().joined(separator: ", "))")
    }
    try self.init(parsing: line, source: "\(source), stage \(key)")
  }

  private static func cells(
    in object: JSONObject, source: String
  ) throws(ArchitectureError) -> Genotype? {
    func cell(_ name: String) throws(ArchitectureError) -> Cell? {
      guard case .array(let pairs)? = object[name],
        case .array(let nodes)? = object["\(name)_concat"]
      else { return nil }
      var edges: [Edge] = []
      for pair in pairs {
        guard case .array(let values) = pair, values.count == 2,
          case .string(let operation) = values[0], case .integer(let node) = values[1]
        else { return nil }
        edges.append(Edge(operation, node))
      }
      var concatenated: [Int] = []
      for node in nodes {
        guard case .integer(let number) = node else { return nil }
        concatenated.append(number)
      }
      let cell = Cell(edges: edges, concatenated: concatenated)
      if let fault = cell.fault {
        throw .inexpressible(file: source, reason: "\(name) cell: \(fault)")
      }
      return cell
    }
    guard let normal = try cell("normal"), let reduce = try cell("reduce") else { return nil }
    return Genotype(normal: normal, reduce: reduce)
  }
}

/// Reads just this much of Python: one call with keyword arguments of lists, tuples, texts, whole
/// numbers and `range`.
private struct GenotypeParser {
  let text: [UInt8]
  let source: String
  var position = 0

  init(text: [UInt8], source: String) {
    self.text = text
    self.source = source
  }

  mutating func parse() throws(ArchitectureError) -> Genotype {
    if !peek("Genotype(") {
      _ = word()
      try expect("=")
    }
    try expect("Genotype")
    try expect("(")
    var edges: [String: [Genotype.Edge]] = [:]
    var nodes: [String: [Int]] = [:]
    repeat {
      if peek(")") { break }
      let start = position
      let name = word()
      try expect("=")
      switch name {
      case "normal" where edges[name] == nil, "reduce" where edges[name] == nil:
        edges[name] = try readEdges()
      case "normal_concat" where nodes[name] == nil, "reduce_concat" where nodes[name] == nil:
        nodes[name] = try readNodes()
      default:
        position = start
        throw unexpected("each of normal, normal_concat, reduce, reduce_concat once")
      }
    } while take(",")
    try expect(")")
    skipSpace()
    guard position == text.count else { throw unexpected("the end") }
    guard let normal = edges["normal"], let normalNodes = nodes["normal_concat"],
      let reduce = edges["reduce"], let reduceNodes = nodes["reduce_concat"]
    else { throw unexpected("normal, normal_concat, reduce and reduce_concat before the end") }
    let genotype = Genotype(
      normal: .init(edges: normal, concatenated: normalNodes),
      reduce: .init(edges: reduce, concatenated: reduceNodes))
    for (name, cell) in genotype.cells {
      if let fault = cell.fault {
        throw .inexpressible(file: source, reason: "\(name) cell: \(fault)")
      }
    }
    return genotype
  }

  /// Pairs in a list, or lists of pairs in a list, one for each node.
  private mutating func readEdges() throws(ArchitectureError) -> [Genotype.Edge] {
    var edges: [Genotype.Edge] = []
    let close = try open()
    while !peek(close) {
      let start = position
      let inner = try open()
      if peek("'") || peek("\"") {
        edges.append(try readPair(close: inner))
      } else {
        let before = edges.count
        while !peek(inner) {
          edges.append(try readPair(close: try open()))
          guard take(",") || peek(inner) else { throw unexpected("',' or '\(inner)'") }
        }
        try expect(inner)
        guard edges.count == before + 2 else {
          position = start
          throw unexpected("two pairs for each node")
        }
      }
      guard take(",") || peek(close) else { throw unexpected("',' or '\(close)'") }
      guard edges.count <= 1000 else { throw unexpected("at most 1000 edges") }
    }
    try expect(close)
    return edges
  }

  private mutating func readPair(close: String) throws(ArchitectureError) -> Genotype.Edge {
    skipSpace()
    guard peek("'") || peek("\"") else { throw unexpected("an operation in quotes") }
    let quote = text[position]
    let start = position + 1
    guard let end = text[start...].firstIndex(of: quote), end > start,
      let operation = String(validating: text[start..<end], as: UTF8.self)
    else { throw unexpected("an operation in quotes") }
    position = end + 1
    try expect(",")
    let predecessor = try readInteger()
    _ = take(",")
    try expect(close)
    return Genotype.Edge(operation, predecessor)
  }

  private mutating func readNodes() throws(ArchitectureError) -> [Int] {
    if take("range") {
      try expect("(")
      let start = try readInteger()
      try expect(",")
      let end = try readInteger()
      try expect(")")
      guard start <= end, end - start <= 1000 else { throw unexpected("a range of at most 1000") }
      return Array(start..<end)
    }
    let close = try open()
    var nodes: [Int] = []
    while !peek(close) {
      nodes.append(try readInteger())
      guard nodes.count <= 1000, take(",") || peek(close) else {
        throw unexpected("',' or '\(close)'")
      }
    }
    try expect(close)
    return nodes
  }

  /// Takes an opening bracket and gives the closing one.
  private mutating func open() throws(ArchitectureError) -> String {
    if take("[") { return "]" }
    if take("(") { return ")" }
    throw unexpected("'[' or '('")
  }

  private mutating func readInteger() throws(ArchitectureError) -> Int {
    skipSpace()
    let digits = text[position...].prefix(while: isDigit)
    guard digits.count <= 9, let value = Int(String(decoding: digits, as: UTF8.self)) else {
      throw unexpected("a whole number")
    }
    position += digits.count
    return value
  }

  private mutating func word() -> String {
    skipSpace()
    let letters = text[position...].prefix { byte in
      isDigit(byte) || byte == UInt8(ascii: "_") || (0x41...0x5A).contains(byte & 0xDF)
    }
    position += letters.count
    return String(decoding: letters, as: UTF8.self)
  }

  private mutating func skipSpace() {
    while position < text.count, [0x20, 0x09, 0x0A, 0x0D].contains(text[position]) {
      position += 1
    }
  }

  private mutating func peek(_ token: String) -> Bool {
    skipSpace()
    return text[position...].starts(with: token.utf8)
  }

  private mutating func take(_ token: String) -> Bool {
    guard peek(token) else { return false }
    position += token.utf8.count
    return true
  }

  private mutating func expect(_ token: String) throws(ArchitectureError) {
    guard take(token) else { throw unexpected("'\(token)'") }
  }

  private func unexpected(_ expected: String) -> ArchitectureError {
    let rest = String(decoding: text[position...].prefix(20), as: UTF8.self)
      .filter { !$0.isNewline }
    return .notation(
      file: source, column: position + 1, found: rest.isEmpty ? "the end" : "'\(rest)'",
      expected: expected)
  }
}
