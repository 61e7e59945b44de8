import Foundation

/// Reads a regular file from the front, plain or gzip by its first two bytes, never more than asked
/// for: a bomb is inflated up to the limit of its reader and no further.
final class ByteReader {
  private enum Source {
    case plain(CInt)
    case gzip(Zlib, OpaquePointer)
  }

  /// What a format can hold at most; larger counts in a header are damage.
  static let largestSize = 4 << 30

  let path: String
  /// The bytes read so far, after decompression.
  private(set) var position = 0
  private let source: Source
  private let storedSize: Int

  init(path: String) throws(DatasetError) {
    self.path = path
    // Not to block on a pipe that somebody named like a data file.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw .unreadable(path: path, reason: String(cString: strerror(errno)))
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw .unreadable(path: path, reason: "not a regular file")
    }
    storedSize = Int(status.st_size)
    var magic: [UInt8] = [0, 0]
    let isGzip = pread(descriptor, &magic, 2, 0) == 2 && magic == [0x1F, 0x8B]
    guard isGzip else {
      source = .plain(descriptor)
      return
    }
    switch Zlib.loaded {
    case .failure(let missing):
      close(descriptor)
      throw .zlibMissing(path: path, reason: missing.reason)
    case .success(let zlib):
      guard let file = zlib.open(descriptor, "rb") else {
        close(descriptor)
        throw .unreadable(path: path, reason: "zlib has no memory")
      }
      source = .gzip(zlib, file)
    }
  }

  deinit {
    switch source {
    case .plain(let descriptor): close(descriptor)
    case .gzip(let zlib, let file): _ = zlib.close(file)
    }
  }

  /// Reads exactly `count` bytes; `expected` is the size of the whole file for the error.
  func read(_ count: Int, expected: Int) throws(DatasetError) -> [UInt8] {
    // Deflate reaches 1032:1 at most, so a header that promises more is refused before any memory
    // is asked for.
    let (most, overflow) = storedSize.multipliedReportingOverflow(by: 1032)
    let possible: Int
    switch source {
    case .plain: possible = storedSize - position
    case .gzip: possible = overflow ? .max : most
    }
    guard count <= ByteReader.largestSize else {
      throw .corrupt(
        path: path, found: "a header that promises \(expected) bytes",
        expected: "at most \(ByteReader.largestSize)")
    }
    guard count <= possible else {
      if case .plain = source {
        throw .truncated(path: path, found: storedSize, expected: expected)
      }
      throw .corrupt(
        path: path, found: "a header that promises \(expected) bytes in \(storedSize) compressed",
        expected: "at most \(possible)")
    }
    let bytes = try read(atMost: count)
    guard bytes.count == count else {
      throw .truncated(path: path, found: position, expected: expected)
    }
    return bytes
  }

  /// Checks that nothing follows, which also makes zlib compare the checksum at the end.
  func finish(expected: Int) throws(DatasetError) {
    guard try read(atMost: 1).isEmpty else {
      throw .tooLong(path: path, expected: expected)
    }
  }

  /// Reads up to `limit` bytes, fewer only at the end of the file.
  func read(atMost limit: Int) throws(DatasetError) -> [UInt8] {
    var failure: DatasetError?
    let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      while count < limit {
        switch readChunk(into: base + count, limit: min(limit - count, 1 << 24)) {
        case .success(0): return
        case .success(let length): count += length
        case .failure(let error):
          failure = error
          return
        }
      }
    }
    position += bytes.count
    if let failure { throw failure }
    return bytes
  }

  private func readChunk(
    into output: UnsafeMutablePointer<UInt8>, limit: Int
  ) -> Result<Int, DatasetError> {
    switch source {
    case .plain(let descriptor):
      while true {
        let length = Foundation.read(descriptor, output, limit)
        if length >= 0 { return .success(length) }
        if errno != EINTR {
          return .failure(.unreadable(path: path, reason: String(cString: strerror(errno))))
        }
      }
    case .gzip(let zlib, let file):
      let length = zlib.read(file, output, CUnsignedInt(limit))
      if length > 0 { return .success(Int(length)) }
      var code: CInt = 0
      let text = zlib.lastError(file, &code).map { String(cString: $0) } ?? "unknown"
      if length == 0 && code == 0 { return .success(0) }
      // zlib's text starts with the name it was opened by.
      let reason = text.split(separator: ": ").last.map(String.init) ?? text
      let kind = code == Zlib.unexpectedEnd ? "truncated" : "damaged"
      return .failure(
        .corrupt(path: path, found: "\(kind) gzip data (\(reason))", expected: "an intact file"))
    }
  }
}
