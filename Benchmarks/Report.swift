import Espalier
import Foundation

/// Where rows go: JSON lines to standard output and the file, a table to standard error.
final class Report {
  private let file: FileHandle?

  /// A report; the file is replaced.
  init(file path: String?) throws {
    guard let path else {
      file = nil
      return
    }
    guard FileManager.default.createFile(atPath: path, contents: nil),
      let handle = FileHandle(forWritingAtPath: path)
    else { throw UsageError(message: "--json \(path): cannot be written") }
    file = handle
  }

  /// Writes one row: the object as a JSON line, and what people read.
  func row(_ object: JSONObject, _ line: String) {
    let text = Data((JSONValue.object(object).compactText + "\n").utf8)
    FileHandle.standardOutput.write(text)
    file?.write(text)
    Report.say(line)
  }

  /// A line on standard error.
  static func say(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }
}

extension Double {
  /// The number with a fixed count of decimals, right-aligned in `width`.
  func text(_ decimals: Int, width: Int = 0) -> String {
    String(format: "%.\(decimals)f", self).leftPadded(width)
  }

  /// The number with that many significant digits: timings mean no more than four.
  func rounded(digits: Int) -> Double {
    Double(String(format: "%.\(digits)g", self)) ?? self
  }
}

extension String {
  /// The text behind spaces.
  func leftPadded(_ width: Int) -> String {
    String(repeating: " ", count: max(0, width - count)) + self
  }

  /// The text before spaces.
  func padded(_ width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}

extension JSONValue {
  /// A measured number with four significant digits; null where there is none.
  static func measured(_ value: Double?) -> JSONValue {
    guard let value, value.isFinite else { return .null }
    return .number(value.rounded(digits: 4))
  }
}
