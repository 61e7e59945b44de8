import Foundation
import Testing

@testable import EspalierNN

@Suite struct SafetensorsTests {
  static let sample = Safetensors(
    entries: [
      "b.weight": .init([1, -2.5, 3, 0.125], shape: [2, 2]),
      "a": .init(elementType: .uint8, shape: [3], bytes: [7, 8, 9]),
      "scalar": .init(elementType: .int64, shape: [], bytes: [1, 0, 0, 0, 0, 0, 0, 128]),
      "empty": .init([], shape: [0, 5]),
    ], metadata: ["step": "12", "state": "{\"crc32c\": \"\"}"])

  /// A file as another writer would make it.
  func file(_ header: String, _ data: [UInt8] = []) -> [UInt8] {
    let text = Array(header.utf8)
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text + data
  }

  func temporaryFolder() throws -> String {
    let path = NSTemporaryDirectory() + "/espalier-safetensors-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  func contents(_ path: String) -> [UInt8]? {
    FileManager.default.contents(atPath: path).map { [UInt8]($0) }
  }

  @Test func checksumMatchesPublishedVectors() {
    // RFC 3720 B.4 and the usual check value.
    #expect(CRC32C.checksum(of: Array("123456789".utf8)) == 0xE306_9283)
    #expect(CRC32C.checksum(of: [UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.checksum(of: [UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.checksum(of: (0..<32).map { UInt8($0) }) == 0x46DD_794E)
    #expect(CRC32C.text(of: []) == "00000000")
  }

  @Test func readsBackWhatItWrites() throws {
    let bytes = Self.sample.serialized()
    let read = try Safetensors(parsing: bytes, file: "f")
    #expect(read == Self.sample)
    #expect(read.entries["b.weight"]?.floats == [1, -2.5, 3, 0.125])
    #expect(read.serialized() == bytes)
    // The same contents built in another order.
    var other = Safetensors(metadata: Self.sample.metadata)
    for name in Self.sample.entries.keys.sorted().reversed() {
      other.entries[name] = Self.sample.entries[name]
    }
    #expect(other.serialized() == bytes)
    let header = bytes[0] + 8
    #expect(bytes[1] < 8 && Int(header) % 8 == 0)
    #expect(try Safetensors(parsing: Safetensors().serialized(), file: "f") == Safetensors())
  }

  @Test func readsFilesOfOthers() throws {
    // As the reference implementation writes them: padding after the header, any order of keys.
    let read = try Safetensors(
      parsing: file(
        #"{"__metadata__":{"format":"pt"},"z":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
          + #""y":{"dtype":"BF16","shape":[2,1],"data_offsets":[4,8]}}   "#,
        [0, 0, 128, 63, 1, 2, 3, 4]), file: "f")
    #expect(read.metadata == ["format": "pt"])
    #expect(read.entries["z"]?.floats == [1])
    #expect(
      read.entries["y"] == .init(elementType: .bfloat16, shape: [2, 1], bytes: [1, 2, 3, 4]))
  }

  @Test(
    arguments: [
      // Not what the format allows, or a trap for the reader.
      ("", []), ("[]", []), (" {}", []), ("{", []), ("{}", [1]),
      (#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#, [0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, [0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, [0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, [0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, [0, 0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}"#, [0, 0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#, [0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, [0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#, [0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}"#, [0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, [0, 0, 0, 0]),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#, [0, 0, 0, 0]),
      (#"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, [0, 0, 0, 0]),
      (#"{"a":{"dtype":"U8","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, []),
      (#"{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}"#, []),
      (
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[9223372036854775807,9223372036854775807]}}"#,
        []
      ),
      (
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
        [0]
      ),
      (
        #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
        [0, 0, 0]
      ),
      (
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#,
        [0, 0, 0]
      ),
      (#"{"__metadata__":{"a":1}}"#, []), (#"{"__metadata__":[]}"#, []), (#"{"a":7}"#, []),
      (#"{"__metadata__":{"crc32c.a":"00000000"}}"#, []),
      (#"{"__metadata__":{"checksums":"crc32c"}}"#, []),
    ] as [(String, [UInt8])]) func refusesHostileHeaders(header: String, data: [UInt8])
  {
    #expect(throws: CheckpointError.self) {
      try Safetensors(parsing: file(header, data), file: "f")
    }
  }

  @Test func refusesHostileLengths() {
    for length: [UInt8] in [
      [255, 255, 255, 255, 255, 255, 255, 255], [0, 0, 0, 0, 0, 0, 0, 128],
      [0, 225, 245, 5, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0],
    ] {
      #expect(throws: CheckpointError.self) {
        try Safetensors(parsing: length + Array("{}".utf8), file: "f")
      }
    }
    let deep = String(repeating: "{\"a\":", count: 100_000)
    #expect(throws: CheckpointError.self) { try Safetensors(parsing: file(deep), file: "f") }
  }

  @Test func detectsEveryTruncation() {
    let bytes = Self.sample.serialized()
    for length in bytes.indices {
      #expect(throws: CheckpointError.self, "length \(length)") {
        try Safetensors(parsing: Array(bytes[..<length]), file: "f")
      }
    }
  }

  @Test func detectsEveryFlippedBit() throws {
    let bytes = Self.sample.serialized()
    for position in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[position] ^= 1 << bit
        #expect(throws: CheckpointError.self, "byte \(position) bit \(bit)") {
          try Safetensors(parsing: damaged, file: "f")
        }
      }
    }
    // The error says which tensor and where.
    var damaged = bytes
    damaged[bytes.count - 9] ^= 1
    let error = #expect(throws: CheckpointError.self) {
      try Safetensors(parsing: damaged, file: "x.safetensors")
    }
    guard case .tensor("x.safetensors", "b.weight", let offset, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(offset == bytes.count - 24)
  }

  @Test func keepsTheFileBefore() throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/checkpoint.safetensors"
    let previous = folder + "/checkpoint.previous.safetensors"
    #expect(Safetensors.previousPath(of: path) == previous)
    #expect(throws: CheckpointError.self) { try Safetensors.loadNewest(at: path) }
    func version(_ step: Int) -> Safetensors {
      Safetensors(entries: Self.sample.entries, metadata: ["step": "\(step)"])
    }
    try version(1).write(to: path)
    #expect(!FileManager.default.fileExists(atPath: previous))
    try version(2).write(to: path)
    try version(3).write(to: path)
    #expect(try Safetensors(contentsOf: previous) == version(2))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
    let newest = try Safetensors.loadNewest(at: path)
    #expect(newest.contents == version(3) && newest.setback == nil && newest.file == path)

    var damaged = try #require(contents(path))
    damaged[damaged.count - 1] ^= 64
    try Data(damaged).write(to: URL(fileURLWithPath: path))
    let older = try Safetensors.loadNewest(at: path)
    #expect(older.contents == version(2) && older.file == previous)
    #expect(older.setback.map { "\($0)".contains(path) } == true)
    // A crash between two renames on a file system without links leaves only the older one.
    unlink(path)
    #expect(try Safetensors.loadNewest(at: path).contents == version(2))
    try Data([1, 2, 3]).write(to: URL(fileURLWithPath: previous))
    #expect(throws: CheckpointError.self) { try Safetensors.loadNewest(at: path) }
  }

  @Test func failedWritesLeaveTheOldFile() throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/c.safetensors"
    try Self.sample.write(to: path)
    let old = try #require(contents(path))
    let other = Safetensors(metadata: ["step": "13"])

    // A temporary name that leads elsewhere is not followed.
    try FileManager.default.createSymbolicLink(
      atPath: path + ".tmp", withDestinationPath: "/dev/full")
    #expect(throws: CheckpointError.self) { try other.write(to: path) }
    #expect(contents(path) == old)
    // Contents that do not read back are refused.
    let refused = #expect(throws: AtomicFileError.self) {
      try AtomicFile.write([1], to: path) { _ in "not what was written" }
    }
    #expect(refused?.reason == "not what was written")
    #expect(contents(path) == old)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["c.safetensors"])
    // A folder in the way, an absent folder, a device.
    for place in [folder, folder + "/absent/c.safetensors", "/dev/full", "/dev/null"] {
      #expect(throws: CheckpointError.self, "\(place)") { try other.write(to: place) }
    }
    let full = open("/dev/full", O_WRONLY)
    defer { close(full) }
    let error = #expect(throws: AtomicFileError.self) {
      try AtomicFile.writeAll([1, 2, 3], to: full, for: "f")
    }
    #expect(error?.reason.contains("space") == true)
    // Read-only folders stop everyone but root.
    if getuid() != 0 {
      chmod(folder, 0o555)
      #expect(throws: CheckpointError.self) { try other.write(to: path) }
      chmod(folder, 0o755)
      #expect(contents(path) == old)
    }
  }

  /// As a quota would: the kernel refuses the bytes behind the limit.
  @Test func aFileSizeLimitIsAnError() async {
    await #expect(processExitsWith: .success) {
      signal(SIGXFSZ, SIG_IGN)
      let folder = NSTemporaryDirectory() + "/espalier-limit-\(getpid())"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      let path = folder + "/c.safetensors"
      let small = Safetensors(metadata: ["step": "1"])
      try small.write(to: path)
      var limit = rlimit(rlim_cur: 5000, rlim_max: 5000)
      #expect(setrlimit(__rlimit_resource_t(1), &limit) == 0)
      let large = Safetensors(
        entries: ["w": .init([Float](repeating: 1, count: 5000), shape: [5000])])
      #expect(throws: CheckpointError.self) { try large.write(to: path) }
      #expect(try Safetensors(contentsOf: path) == small)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
    }
  }
}
