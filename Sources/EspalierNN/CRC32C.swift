/// The checksum of iSCSI and ext4 (Castagnoli's polynomial): finds every single flipped byte.
package enum CRC32C {
  /// Eight tables of 256: entry [k][b] is the checksum of byte b followed by k zero bytes.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var value = UInt32(byte)
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
      tables[byte] = value
    }
    for i in 256..<tables.count {
      let shorter = tables[i - 256]
      tables[i] = shorter >> 8 ^ tables[Int(shorter & 255)]
    }
    return tables
  }()

  /// The checksum of some bytes.
  static func checksum(of bytes: some Sequence<UInt8>) -> UInt32 {
    bytes.withContiguousStorageIfAvailable { checksum(of: UnsafeRawBufferPointer($0)) }
      ?? Array(bytes).withUnsafeBytes { checksum(of: $0) }
  }

  /// The checksum as eight hexadecimal digits.
  package static func text(of bytes: some Sequence<UInt8>) -> String {
    let digits = String(checksum(of: bytes), radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  private static func checksum(of bytes: UnsafeRawBufferPointer) -> UInt32 {
    tables.withUnsafeBufferPointer { table in
      var crc: UInt32 = ~0
      var i = 0
      // Eight bytes a step.
      while i &+ 8 <= bytes.count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self))
        var rest = word ^ UInt64(crc)
        crc = 0
        var k = 7
        while k >= 0 {
          crc ^= table[256 &* k &+ Int(rest & 255)]
          rest >>= 8
          k &-= 1
        }
        i &+= 8
      }
      while i < bytes.count {
        crc = crc >> 8 ^ table[Int((crc ^ UInt32(bytes[i])) & 255)]
        i &+= 1
      }
      return ~crc
    }
  }
}
