import EspalierNN
import Foundation
import Testing

/// An array of a golden file.
struct GoldenArray: Decodable, Sendable {
  let shape: [Int]
  let values: [Double]

  var floats: [Float] { values.map(Float.init) }
  func tensor() throws -> Tensor { try Tensor(floats, shape: Shape(shape)) }
}

/// Reads a file of the folder `Golden`.
func golden<T: Decodable>(_ name: String, as type: T.Type = T.self) throws -> T {
  let path = "\(#filePath)".replacing("Support.swift", with: "Golden/\(name)")
  return try JSONDecoder().decode(T.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Expects two lists to agree within `relative` of the largest expected number.
func expectClose(
  _ found: [Float], _ expected: [Double], relative: Double, _ label: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard found.count == expected.count else {
    Issue.record(
      "\(label): \(found.count) numbers, expected \(expected.count)",
      sourceLocation: sourceLocation)
    return
  }
  let scale = expected.reduce(1e-30) { max($0, abs($1)) }
  for (index, (x, y)) in zip(found, expected).enumerated()
  where !(abs(Double(x) - y) <= relative * scale) {
    Issue.record(
      "\(label)[\(index)] is \(x), expected \(y) within \(relative * scale)",
      sourceLocation: sourceLocation)
    return
  }
}

/// A folder that is gone when the body ends.
func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
  let path = NSTemporaryDirectory() + "espalier-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

/// Mean and variance of some numbers.
func moments(_ values: [Float]) -> (mean: Double, variance: Double) {
  let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
  let variance =
    values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(values.count)
  return (mean, variance)
}
