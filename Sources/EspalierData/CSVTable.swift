/// A table of texts with a header: comma-separated values (RFC 4180), plain or gzip.
public struct CSVTable: Sendable {
  /// The file it was read from.
  public let path: String
  /// The columns' names, in order, all different.
  public let header: [String]
  /// The rows, each with as many texts as there are columns.
  public let rows: [[String]]

  /// A table holds at most so many bytes.
  private static let largestSize = 1 << 28

  /// Reads a table.
  ///
  /// - Throws: `DatasetError` where the file cannot be read, has no row, or a row has more or fewer
  ///   fields than the header.
  public init(path: String) throws(DatasetError) {
    let bytes = try ByteReader(path: path).read(atMost: CSVTable.largestSize + 1)
    guard bytes.count <= CSVTable.largestSize else {
      throw .tooLong(path: path, expected: CSVTable.largestSize)
    }
    var lines = try CSVTable.lines(of: bytes, path)
    guard lines.count > 1 else {
      throw .corrupt(
        path: path, found: "\(lines.count) lines", expected: "a header and at least one row")
    }
    let header = lines.removeFirst()
    guard Set(header).count == header.count else {
      let twice = header.first { name in header.filter { $0 == name }.count > 1 } ?? ""
      throw .corrupt(path: path, found: "two columns '\(twice)'", expected: "different names")
    }
    for (index, row) in lines.enumerated() where row.count != header.count {
      throw .corrupt(
        path: path, found: "\(row.count) fields in row \(index + 1)",
        expected: "\(header.count) as in the header")
    }
    (self.path, self.header, rows) = (path, header, lines)
  }

  /// The texts of a column; nil where there is none of that name.
  public func column(_ name: String) -> [String]? {
    header.firstIndex(of: name).map { index in rows.map { $0[index] } }
  }

  /// Lines of fields; a field in quotes may hold commas, line ends and doubled quotes.
  private static func lines(of bytes: [UInt8], _ path: String) throws(DatasetError) -> [[String]] {
    let (quote, comma, newline) = (UInt8(ascii: "\""), UInt8(ascii: ","), UInt8(ascii: "\n"))
    var lines: [[String]] = []
    var line: [String] = []
    var field: [UInt8] = []
    var (isQuoted, wasQuoted) = (false, false)
    func endField() {
      line.append(String(decoding: field, as: UTF8.self))
      field.removeAll(keepingCapacity: true)
      wasQuoted = false
    }
    func endLine() {
      if field.last == UInt8(ascii: "\r") && !wasQuoted { field.removeLast() }
      // A line of nothing is no row: the file's end, most often.
      if line.isEmpty && field.isEmpty && !wasQuoted { return }
      endField()
      lines.append(line)
      line.removeAll()
    }
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      if isQuoted {
        if byte != quote {
          field.append(byte)
        } else if index < bytes.count, bytes[index] == quote {
          field.append(quote)
          index += 1
        } else {
          isQuoted = false
        }
      } else if byte == quote && field.isEmpty {
        (isQuoted, wasQuoted) = (true, true)
      } else if byte == comma {
        endField()
      } else if byte == newline {
        endLine()
      } else if !(wasQuoted && byte == UInt8(ascii: "\r")) {
        field.append(byte)
      }
    }
    guard !isQuoted else {
      throw .corrupt(path: path, found: "a quote that does not end", expected: "a closing quote")
    }
    endLine()
    return lines
  }
}
