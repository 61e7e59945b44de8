import Foundation

/// A table of latencies that others published, in the form in which they did: a key of their own for
/// each row.
///
/// Which keys a network has, its authors' code says; the sum over them is its latency.
public struct PublishedLatencies: Sendable, Equatable {
  /// The file it was read from.
  public let path: String
  /// Seconds by key.
  public let seconds: [String: Double]

  /// Reads a table of comma-separated values, plain or gzip.
  ///
  /// The header tells which:
  /// - `key,mean_ms,...`: once-for-all's and ProxylessNAS' blocks, by the key as it stands.
  /// - `device,block,mid_channels,latency_ms`: TF-NAS' blocks, by `device/block/mid_channels`. Lines
  ///   were fitted, and fall below 0 for narrow blocks: those are 0.
  /// - `index,arch,<device>,...`: HELP's whole networks in ms, by `device/arch`.
  /// - Throws: `DatasetError`; `LatencyError` where it is none of these.
  public init(path: String) throws {
    let table = try CSVTable(path: path)
    var seconds: [String: Double] = [:]
    func add(_ key: String, milliseconds text: String, row: Int) throws {
      guard let value = Double(text), value.isFinite else {
        throw LatencyError.notPublished(path, "row \(row + 1): found '\(text)' milliseconds")
      }
      guard seconds.updateValue(max(value, 0) / 1000, forKey: key) == nil else {
        throw LatencyError.notPublished(path, "row \(row + 1): \(key) is there twice")
      }
    }
    for (row, fields) in table.rows.enumerated() {
      if table.header.starts(with: ["key", "mean_ms"]) {
        try add(fields[0], milliseconds: fields[1], row: row)
      } else if table.header == ["device", "block", "mid_channels", "latency_ms"] {
        try add(fields[..<3].joined(separator: "/"), milliseconds: fields[3], row: row)
      } else if table.header.starts(with: ["index", "arch"]) {
        for (device, text) in zip(table.header, fields).dropFirst(2) {
          try add("\(device)/\(fields[1])", milliseconds: text, row: row)
        }
      } else {
        throw LatencyError.notPublished(
          path, "found the columns \(table.header.prefix(9).joined(separator: ","))")
      }
    }
    (self.path, self.seconds) = (path, seconds)
  }

  /// Reads a table of FBNet's kind: a line of candidates' names, then a line of numbers for each
  /// searched layer; the keys are `layer/candidate`, layers counted from 0.
  ///
  /// - Parameter unit: What a number is multiplied by: microseconds, unless it says otherwise.
  public init(layersOf path: String, unit: Double = 1e-6) throws {
    let text: String
    do {
      text = try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw LatencyError.notPublished(path, "cannot be read: \(systemReason(error))")
    }
    let lines = text.split(whereSeparator: \.isNewline).map { $0.split(separator: " ") }
    let names = lines.first ?? []
    guard lines.count > 1, Set(names).count == names.count else {
      throw LatencyError.notPublished(path, "found no line of different names before the numbers")
    }
    var seconds: [String: Double] = [:]
    for (layer, fields) in lines.dropFirst().enumerated() {
      let numbers = fields.compactMap { Double($0) }.filter { $0.isFinite && $0 >= 0 }
      guard numbers.count == names.count, fields.count == names.count else {
        throw LatencyError.notPublished(
          path, "line \(layer + 2): found \(numbers.count) numbers for \(names.count) names")
      }
      for (name, number) in zip(names, numbers) { seconds["\(layer)/\(name)"] = number * unit }
    }
    (self.path, self.seconds) = (path, seconds)
  }

  /// The sum over a network's keys, in seconds.
  /// - Throws: `LatencyError` at a key that the table has not.
  public func sum(_ keys: [String]) throws(LatencyError) -> Double {
    var sum = 0.0
    for key in keys {
      guard let value = seconds[key] else {
        throw .noKey(path, key, nearest: nearestName(to: key, in: seconds.keys.sorted()))
      }
      sum += value
    }
    return sum
  }
}
