/// The contents of a safetensors file: named arrays and text metadata, free of any tensor type.
///
/// Layout: the header's length as a little-endian UInt64, a JSON header, then the arrays one after
/// another. Files written here carry CRC-32C checksums of the header and of every array in the
/// metadata (`crc32c`, `crc32c.NAME`), which other readers ignore and this one checks.
/// Source: github.com/huggingface/safetensors.
public struct Safetensors: Equatable, Sendable {
  /// The type of an array's elements.
  public enum ElementType: String, Sendable, CaseIterable {
    /// Truth values of one byte.
    case bool = "BOOL"
    /// Unsigned integers of one byte.
    case uint8 = "U8"
    /// Signed integers of one byte.
    case int8 = "I8"
    /// Eight-bit floats with five bits of exponent.
    case float8E5M2 = "F8_E5M2"
    /// Eight-bit floats with four bits of exponent.
    case float8E4M3 = "F8_E4M3"
    /// Unsigned integers of two bytes.
    case uint16 = "U16"
    /// Signed integers of two bytes.
    case int16 = "I16"
    /// IEEE half precision.
    case float16 = "F16"
    /// The upper half of single precision.
    case bfloat16 = "BF16"
    /// Unsigned integers of four bytes.
    case uint32 = "U32"
    /// Signed integers of four bytes.
    case int32 = "I32"
    /// IEEE single precision.
    case float32 = "F32"
    /// Unsigned integers of eight bytes.
    case uint64 = "U64"
    /// Signed integers of eight bytes.
    case int64 = "I64"
    /// IEEE double precision.
    case float64 = "F64"

    /// The bytes of one element.
    public var size: Int {
      switch self {
      case .bool, .uint8, .int8, .float8E5M2, .float8E4M3: 1
      case .uint16, .int16, .float16, .bfloat16: 2
      case .uint32, .int32, .float32: 4
      case .uint64, .int64, .float64: 8
      }
    }
  }

  /// One array.
  public struct Entry: Equatable, Sendable {
    /// The type of the elements.
    public let elementType: ElementType
    /// The dimensions; empty for a scalar.
    public let shape: [Int]
    /// The elements in C order, little-endian.
    public let bytes: [UInt8]

    /// Creates an array.
    ///
    /// - Parameters:
    ///   - elementType: The type of the elements.
    ///   - shape: The dimensions; empty for a scalar.
    ///   - bytes: The elements in C order, little-endian.
    public init(elementType: ElementType, shape: [Int], bytes: [UInt8]) {
      precondition(
        shape.allSatisfy { $0 >= 0 } && shape.reduce(elementType.size, *) == bytes.count,
        "Safetensors.Entry: \(bytes.count) bytes are not \(elementType.rawValue) of \(shape)")
      self.elementType = elementType
      self.shape = shape
      self.bytes = bytes
    }

    /// Creates an array of single precision numbers.
    public init(_ values: [Float], shape: [Int]) {
      self.init(elementType: .float32, shape: shape, bytes: littleEndianBytes(of: values))
    }

    /// The elements, if the type is single precision.
    public var floats: [Float]? {
      guard elementType == .float32 else { return nil }
      return bytes.withUnsafeBytes { raw in
        (0..<raw.count / 4).map { i in
          let word = raw.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self)
          return Float(bitPattern: UInt32(littleEndian: word))
        }
      }
    }
  }

  /// Texts by name, without the checksums.
  public var metadata: [String: String]
  /// The arrays by name.
  public var entries: [String: Entry]

  /// Creates contents.
  public init(entries: [String: Entry] = [:], metadata: [String: String] = [:]) {
    self.entries = entries
    self.metadata = metadata
  }

  static let metadataKey = "__metadata__"
  static let headerChecksumKey = "crc32c"
  static let checksumPrefix = "crc32c."
  /// Says that checksums must be there, so that no single damaged byte can hide them.
  static let checksumsKey = "checksums"
  static let emptyChecksum = "00000000"

  /// Whether a metadata key belongs to the format and not to the user.
  static func isReserved(_ key: String) -> Bool {
    key == checksumsKey || key == headerChecksumKey || key.hasPrefix(checksumPrefix)
  }
}

private func littleEndianBytes(of values: [Float]) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: values.count * 4) { buffer, count in
    count = values.count * 4
    let raw = UnsafeMutableRawBufferPointer(buffer)
    for (i, value) in values.enumerated() {
      raw.storeBytes(of: value.bitPattern.littleEndian, toByteOffset: 4 * i, as: UInt32.self)
    }
  }
}
