import Espalier
import Foundation

/// Architectures with a number each, from a file of comma-separated values.
///
/// The column `arch` holds an architecture in any notation that architecture files have.
struct ArchitectureTable {
  /// The name of the column of architectures.
  private static let architectures = "arch"

  private let path: String
  private let texts: [String]
  private let numbers: [String]
  private let column: String

  /// Reads a table.
  ///
  /// - Parameter score: The name of the column of numbers.
  init(_ path: String, score: String) throws {
    let table = try CSVTable(path: path)
    guard let texts = table.column(ArchitectureTable.architectures) else {
      throw UsageError(
        "\(path): has no column \(ArchitectureTable.architectures), which holds the architecture; "
          + "there are \(table.header.joined(separator: ", "))")
    }
    guard let numbers = table.column(score) else {
      throw UsageError(unknown: "column", score, valid: table.header)
    }
    var rows: [String: Int] = [:]
    for (row, text) in texts.enumerated() {
      if let earlier = rows.updateValue(row, forKey: text) {
        throw UsageError("\(path): rows \(earlier + 1) and \(row + 1) are the same, \(text)")
      }
    }
    (self.path, self.texts, self.numbers, column) = (path, texts, numbers, score)
  }

  /// Number of architectures.
  var count: Int { texts.count }

  /// The architecture of a row as a space understands it, and its number.
  func row(_ index: Int, of space: [ChoiceDescription]) throws -> (
    architecture: Architecture, score: Double
  ) {
    let place = "\(path), row \(index + 1)"
    guard let score = Double(numbers[index]), score.isFinite else {
      throw UsageError("\(place): \(column) is '\(numbers[index])', expected a number")
    }
    let read = try Architecture(parsing: Array(texts[index].utf8), source: place)
    return (Architecture(try read.resolved(against: space), in: space), score)
  }

  /// Rows drawn uniformly, none twice.
  func sample(_ count: Int, seed: UInt64) throws(UsageError) -> [Int] {
    guard count <= self.count else {
      throw UsageError("--sample \(count): \(path) has \(self.count) rows")
    }
    var generator = SeededGenerator(seed: seed)
    return Array(Array(0..<self.count).shuffled(using: &generator).prefix(count))
  }
}
