import Foundation

@testable import EspalierData

/// A folder that is removed with the object.
final class TemporaryFolder {
  let path = NSTemporaryDirectory() + "/espalier-data-" + UUID().uuidString

  init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  @discardableResult
  func write(_ bytes: [UInt8], to name: String) throws -> String {
    let file = "\(path)/\(name)"
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }
}

/// The bytes of an IDX file.
func idx(_ type: UInt8, _ dimensions: [Int], _ elements: [UInt8]) -> [UInt8] {
  [0, 0, type, UInt8(dimensions.count)] + dimensions.flatMap { bigEndian(UInt32($0)) } + elements
}

func bigEndian(_ value: UInt32) -> [UInt8] {
  (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }
}

func littleEndianBytes(_ value: UInt32) -> [UInt8] { bigEndian(value).reversed() }

/// The bytes of a gzip file with one stored block a 65,535 bytes, so that tests need no compressor.
func gzip(_ bytes: [UInt8]) -> [UInt8] {
  var out: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]
  var rest = bytes[...]
  repeat {
    let block = rest.prefix(65_535)
    rest = rest.dropFirst(block.count)
    let size = UInt16(block.count)
    out.append(rest.isEmpty ? 1 : 0)
    for word in [size, ~size] { out += [UInt8(word & 255), UInt8(word >> 8)] }
    out += block
  } while !rest.isEmpty
  return out + littleEndianBytes(crc32(bytes)) + littleEndianBytes(UInt32(bytes.count))
}

/// A gzip member of zeros at deflate's best ratio: one dynamic block of runs of 258.
func gzipBomb(kilobytes: Int) throws -> [UInt8] {
  // Made by the system's gzip; the test is skipped where there is none.
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/bin/sh")
  process.arguments = ["-c", "head -c \(kilobytes)k /dev/zero | gzip -9n"]
  let pipe = Pipe()
  process.standardOutput = pipe
  try process.run()
  let data = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return [UInt8](data)
}

private func crc32(_ bytes: [UInt8]) -> UInt32 {
  var crc: UInt32 = ~0
  for byte in bytes {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
  }
  return ~crc
}

extension Dataset {
  func image(at index: Int) throws -> [Float] {
    var values = [Float](repeating: .nan, count: imageSize)
    var failure: DatasetError?
    values.withUnsafeMutableBufferPointer { buffer in
      do throws(DatasetError) {
        try fillImage(at: index, into: buffer)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return values
  }
}
