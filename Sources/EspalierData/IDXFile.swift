/// One IDX file whose header has been read and checked: two zero bytes, the element type, the number
/// of dimensions, each dimension as a big-endian UInt32, then the elements, big-endian.
struct IDXFile {
  enum Element: UInt8 {
    case unsignedByte = 0x08
    case int32 = 0x0C
    case float32 = 0x0D

    var size: Int { self == .unsignedByte ? 1 : 4 }
  }

  let dimensions: [Int]
  let element: Element
  private let reader: ByteReader
  private let elementCount: Int
  private let headerSize: Int

  private var fileSize: Int { headerSize + elementCount * element.size }

  init(path: String, dimensionCount: Int) throws(DatasetError) {
    reader = try ByteReader(path: path)
    headerSize = 4 + 4 * dimensionCount
    let magic = try reader.read(atMost: 4)
    guard magic.count == 4 else {
      throw .truncated(path: path, found: magic.count, expected: headerSize)
    }
    guard magic[0] == 0, magic[1] == 0, Int(magic[3]) == dimensionCount else {
      throw .corrupt(
        path: path, found: "magic number 0x\(hexadecimal(magic))",
        expected: "0x0000080\(dimensionCount) (bytes) or 0x00000d0\(dimensionCount) (float32)")
    }
    guard let element = Element(rawValue: magic[2]) else {
      throw .corrupt(
        path: path, found: "element type 0x\(hexadecimal([magic[2]]))",
        expected: "0x08 (unsigned byte) or 0x0d (float32)")
    }
    self.element = element
    let sizes = try reader.read(4 * dimensionCount, expected: headerSize)
    var dimensions: [Int] = []
    var product = element.size
    for axis in 0..<dimensionCount {
      let size = sizes[4 * axis..<4 * axis + 4].reduce(0) { $0 << 8 | Int($1) }
      let (next, overflow) = product.multipliedReportingOverflow(by: size)
      guard size > 0, !overflow, next <= ByteReader.largestSize else {
        throw .corrupt(
          path: path, found: "dimension \(axis) of \(size)",
          expected: "dimensions from 1 whose product stays below \(ByteReader.largestSize) bytes")
      }
      product = next
      dimensions.append(size)
    }
    self.dimensions = dimensions
    elementCount = product / element.size
  }

  /// Reads and checks the elements as pixels.
  func readPixels() throws(DatasetError) -> InMemoryDataset.Pixels {
    switch element {
    case .unsignedByte:
      return .bytes(try readElements())
    case .float32:
      let floats = bigEndianWords(try readElements()).map { Float(bitPattern: $0) }
      if let index = floats.firstIndex(where: { !$0.isFinite }) {
        throw .corrupt(
          path: reader.path, found: "\(floats[index]) at element \(index)",
          expected: "finite numbers")
      }
      return .floats(floats)
    case .int32:
      throw .corrupt(
        path: reader.path, found: "element type 0x0c (int32)",
        expected: "0x08 (unsigned byte) or 0x0d (float32)")
    }
  }

  /// Reads the elements as labels; float32 must be whole numbers.
  func readLabels() throws(DatasetError) -> [Int32] {
    let bytes = try readElements()
    switch element {
    case .unsignedByte:
      return bytes.map { Int32($0) }
    case .int32:
      return bigEndianWords(bytes).map { Int32(bitPattern: $0) }
    case .float32:
      var labels: [Int32] = []
      labels.reserveCapacity(elementCount)
      for (index, word) in bigEndianWords(bytes).enumerated() {
        let value = Float(bitPattern: word)
        guard let label = Int32(exactly: value) else {
          throw .corrupt(
            path: reader.path, found: "label \(value) at index \(index)",
            expected: "whole numbers")
        }
        labels.append(label)
      }
      return labels
    }
  }

  private func readElements() throws(DatasetError) -> [UInt8] {
    let bytes = try reader.read(fileSize - headerSize, expected: fileSize)
    try reader.finish(expected: fileSize)
    return bytes
  }
}

private func bigEndianWords(_ bytes: [UInt8]) -> [UInt32] {
  bytes.withUnsafeBytes { raw in
    (0..<raw.count / 4).map {
      UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self))
    }
  }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
