import Foundation

/// An array read from a `.npy` file: float32, uint8, int32 or int64, little-endian, C order.
///
/// Source of the format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
public struct NumPyFile: Sendable {
  /// The values in C order.
  public enum Values: Sendable {
    /// dtype `<f4`.
    case float32([Float])
    /// dtype `|u1`.
    case uint8([UInt8])
    /// dtype `<i4`.
    case int32([Int32])
    /// dtype `<i8`.
    case int64([Int64])
  }

  /// The path read, for messages.
  public let path: String
  /// The dimensions; empty for a scalar.
  public let shape: [Int]
  /// The values in C order.
  public let values: Values

  /// Reads a file, plain or gzip.
  public init(path: String) throws(DatasetError) {
    self.path = path
    let reader = try ByteReader(path: path)
    let start = try reader.read(8, expected: 10)
    guard Array(start.prefix(6)) == [0x93] + Array("NUMPY".utf8), (1...3).contains(start[6]),
      start[7] == 0
    else {
      throw .corrupt(path: path, found: "another first line", expected: "\\x93NUMPY version 1 to 3")
    }
    let lengthBytes = try reader.read(start[6] == 1 ? 2 : 4, expected: 12)
    let length = lengthBytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= 1 << 16 else {
      throw .corrupt(path: path, found: "a header of \(length) bytes", expected: "at most 65536")
    }
    let prefix = 8 + lengthBytes.count + length
    let text = try reader.read(length, expected: prefix)
    var parser = NumPyHeader(text: text)
    guard let header = parser.parse() else {
      throw .corrupt(
        path: path, found: "header \(String(decoding: text.prefix(120), as: UTF8.self))",
        expected: "{'descr': '...', 'fortran_order': False, 'shape': (...), }")
    }
    guard !header.isFortranOrder else {
      throw .corrupt(path: path, found: "Fortran order", expected: "C order")
    }
    guard let size = ["<f4": 4, "|u1": 1, "<i4": 4, "<i8": 8][header.type] else {
      throw .corrupt(
        path: path, found: "dtype '\(header.type)'", expected: "'<f4', '|u1', '<i4' or '<i8'")
    }
    var count = 1
    for dimension in header.shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard !overflow, product <= ByteReader.largestSize / size else {
        throw .corrupt(
          path: path, found: "shape \(header.shape)",
          expected: "at most \(ByteReader.largestSize) bytes")
      }
      count = product
    }
    shape = header.shape
    let bytes = try reader.read(count * size, expected: prefix + count * size)
    try reader.finish(expected: prefix + count * size)
    switch header.type {
    case "<f4": values = .float32(littleEndian(bytes, as: UInt32.self).map(Float.init(bitPattern:)))
    case "<i4": values = .int32(littleEndian(bytes, as: Int32.self))
    case "<i8": values = .int64(littleEndian(bytes, as: Int64.self))
    default: values = .uint8(bytes)
    }
  }
}

private func littleEndian<T: FixedWidthInteger>(_ bytes: [UInt8], as type: T.Type) -> [T] {
  let size = MemoryLayout<T>.size
  return bytes.withUnsafeBytes { raw in
    (0..<raw.count / size).map {
      T(littleEndian: raw.loadUnaligned(fromByteOffset: size * $0, as: T.self))
    }
  }
}

/// The three entries of the header's Python dictionary, in any order; nothing else is accepted.
private struct NumPyHeader {
  let text: [UInt8]
  var position = 0
  var type = ""
  var isFortranOrder = false
  var shape: [Int] = []

  init(text: [UInt8]) { self.text = text }

  mutating func parse() -> NumPyHeader? {
    var keys: Set<String> = []
    guard take("{") else { return nil }
    while !take("}") {
      guard let key = string(), take(":"), keys.insert(key).inserted, value(of: key) else {
        return nil
      }
      guard take(",") || peek("}") else { return nil }
    }
    skipSpace()
    return position == text.count && keys == ["descr", "fortran_order", "shape"] ? self : nil
  }

  private mutating func value(of key: String) -> Bool {
    switch key {
    case "descr":
      guard let descr = string() else { return false }
      type = descr
    case "fortran_order":
      isFortranOrder = take("True")
      return isFortranOrder || take("False")
    case "shape":
      guard take("(") else { return false }
      while !take(")") {
        guard shape.count < 32, let dimension = integer() else { return false }
        shape.append(dimension)
        guard take(",") || peek(")") else { return false }
      }
    default:
      return false
    }
    return true
  }

  private mutating func skipSpace() {
    while position < text.count, text[position] == 0x20 || text[position] == 0x0A {
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

  private mutating func string() -> String? {
    guard take("'"), let end = text[position...].firstIndex(of: 0x27) else { return nil }
    defer { position = end + 1 }
    return String(decoding: text[position..<end], as: UTF8.self)
  }

  private mutating func integer() -> Int? {
    skipSpace()
    let digits = text[position...].prefix { $0 >= 0x30 && $0 <= 0x39 }
    position += digits.count
    return Int(String(decoding: digits, as: UTF8.self))
  }
}
