/// What candidates take on a device, measured one by one: comma-separated values with a header.
///
/// A row is a computation at an input shape, named after the first choice and candidate that do it;
/// the row of choice `network` is everything outside of choices. Seconds are for one image.
public struct LatencyTable: Sendable, Equatable {
  /// One measured computation.
  public struct Row: Sendable, Equatable {
    /// The key of a choice that has it, or `network` for what is outside of choices.
    public var choice: String
    /// The candidate's name.
    public var candidate: String
    /// The operations in order, with a hash of their attributes and shapes.
    public var operation: String
    /// The input's channels, height and width: `16x32x32`.
    public var input: String
    /// Seconds for one image.
    public var seconds: Double
  }

  /// The space and the settings that it was measured with, for people.
  public var space: String
  /// `channels=8 cells=3`.
  public var settings: String
  /// Where it was measured.
  public var device: String
  /// Images in a batch.
  public var batch: Int
  /// The rows, each computation once.
  public private(set) var rows: [Row] = []
  private var places: [String: Int] = [:]

  /// A table without rows.
  public init(space: String, settings: String = "", device: String, batch: Int) {
    (self.space, self.settings) = (space, settings)
    (self.device, self.batch) = (device, batch)
  }

  /// Adds a row; of a computation that is there already the first row counts.
  public mutating func append(_ row: Row) {
    let place = LatencyTable.place(row.operation, row.input)
    guard places[place] == nil else { return }
    places[place] = rows.count
    rows.append(row)
  }

  private static func place(_ operation: String, _ input: String) -> String {
    operation + " " + input
  }

  /// Seconds for one image of a computation; nil where it was not measured.
  public func seconds(of operation: String, input: String) -> Double? {
    places[LatencyTable.place(operation, input)].map { rows[$0].seconds }
  }
}

// MARK: Files

extension LatencyTable {
  private static let columns = [
    "space", "settings", "device", "batch", "choice", "candidate", "operation", "input", "seconds",
  ]

  /// The table as a file's text.
  public var text: String {
    var lines = [LatencyTable.columns.joined(separator: ",")]
    for row in rows {
      let fields = [
        space, settings, device, "\(batch)", row.choice, row.candidate, row.operation, row.input,
        JSONValue.number(row.seconds).compactText,
      ]
      lines.append(fields.map(LatencyTable.quoted).joined(separator: ","))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Differs between tables that differ, for checkpoints.
  public var fingerprint: String { CRC32C.text(of: text.utf8) }

  private static func quoted(_ field: String) -> String {
    guard field.contains(where: { ",\"\r\n".contains($0) }) else { return field }
    return "\"" + field.replacing("\"", with: "\"\"") + "\""
  }

  /// Reads a table, plain or gzip.
  ///
  /// - Throws: `DatasetError` where it is no table, `LatencyError` where it is another one.
  public init(path: String) throws {
    let file = try CSVTable(path: path)
    guard file.header == LatencyTable.columns else {
      throw LatencyError.notATable(
        path, "found the columns \(file.header.prefix(9).joined(separator: ","))")
    }
    let first = file.rows[0]
    guard let batch = Int(first[3]), batch > 0 else {
      throw LatencyError.notATable(path, "row 1: found the batch '\(first[3])'")
    }
    self.init(space: first[0], settings: first[1], device: first[2], batch: batch)
    for (number, fields) in file.rows.enumerated() {
      guard Array(fields[..<4]) == Array(first[..<4]) else {
        throw LatencyError.notATable(
          path,
          "row \(number + 1): measured otherwise than the first, as "
            + fields[..<4].joined(separator: ","))
      }
      guard let seconds = Double(fields[8]), seconds >= 0, seconds.isFinite else {
        throw LatencyError.notATable(path, "row \(number + 1): found '\(fields[8])' seconds")
      }
      let count = rows.count
      append(
        Row(
          choice: fields[4], candidate: fields[5], operation: fields[6], input: fields[7],
          seconds: seconds))
      guard rows.count > count else {
        throw LatencyError.notATable(
          path, "row \(number + 1): \(fields[6]) at \(fields[7]) is there twice")
      }
    }
  }
}
