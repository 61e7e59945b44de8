import Foundation
import Testing

@testable import EspalierData

@Suite struct IDXDatasetTests {
  static let images = idx(0x08, [2, 2, 2], [0, 51, 102, 153, 204, 255, 1, 2])
  static let labels = idx(0x08, [2], [1, 0])

  @Test(arguments: [false, true]) func readsBytes(compressed: Bool) throws {
    let folder = try TemporaryFolder()
    let pack = compressed ? gzip : { $0 }
    let data = try IDXDataset(
      images: folder.write(pack(Self.images), to: "i"),
      labels: folder.write(pack(Self.labels), to: "l"))
    #expect(data.count == 2 && data.channels == 1 && data.height == 2 && data.width == 2)
    #expect(data.classCount == 2)
    #expect(try data.image(at: 0) == [0, 0.2, 0.4, 0.6])
    #expect(try data.image(at: 1) == [204 / 255, 1, 1 / 255, 2 / 255])
    #expect(try data.label(at: 0) == 1)
    #expect(try data.label(at: 1) == 0)
  }

  @Test func takesTheElementTypeFromTheHeader() throws {
    let folder = try TemporaryFolder()
    let pixels: [Float] = [0, 0.25, 1, 0.125, 0.5, 0.5, 0.5, 0.75]
    let data = try IDXDataset(
      images: folder.write(
        idx(0x0D, [2, 2, 2], pixels.flatMap { bigEndian($0.bitPattern) }), to: "x-ubyte"),
      labels: folder.write(
        idx(0x0C, [2], bigEndian(0) + bigEndian(1)), to: "l-ubyte"))
    #expect(try data.image(at: 0) == [0, 0.25, 1, 0.125])
    #expect(try data.label(at: 1) == 1)
    let damaged = [Float.nan] + pixels.dropFirst()
    #expect(throws: DatasetError.self) {
      try IDXDataset(
        images: folder.write(
          idx(0x0D, [2, 2, 2], damaged.flatMap { bigEndian($0.bitPattern) }), to: "n"),
        labels: folder.path + "/l-ubyte")
    }
  }

  @Test(arguments: [false, true]) func refusesEveryTruncation(compressed: Bool) throws {
    let folder = try TemporaryFolder()
    let images = compressed ? gzip(Self.images) : Self.images
    let labels = compressed ? gzip(Self.labels) : Self.labels
    let goodLabels = try folder.write(labels, to: "labels")
    for length in 0..<images.count {
      let file = try folder.write(Array(images.prefix(length)), to: "cut")
      let error = #expect(throws: DatasetError.self, "length \(length)") {
        try IDXDataset(images: file, labels: goodLabels)
      }
      #expect(error.map { "\($0)".hasPrefix(file + ": ") } == true)
      #expect(error.map { !"\($0)".contains("\n") } == true)
    }
    let goodImages = try folder.write(images, to: "images")
    for length in 0..<labels.count {
      let file = try folder.write(Array(labels.prefix(length)), to: "cut")
      #expect(throws: DatasetError.self, "length \(length)") {
        try IDXDataset(images: goodImages, labels: file)
      }
    }
  }

  @Test func findsEveryFlippedByteOfCompressedData() throws {
    let folder = try TemporaryFolder()
    let good = gzip(Self.images)
    let labels = try folder.write(Self.labels, to: "labels")
    let expected = try (0..<2).map {
      try IDXDataset(images: folder.write(good, to: "i"), labels: labels).image(at: $0)
    }
    for position in good.indices {
      for bit in 0..<8 {
        var bytes = good
        bytes[position] ^= 1 << bit
        let file = try folder.write(bytes, to: "i")
        // Some bits mean nothing (time, system, padding of a stored block); the pixels are right then.
        guard let data = try? IDXDataset(images: file, labels: labels) else { continue }
        #expect(position <= 10, "byte \(position) bit \(bit) went unnoticed")
        #expect(try (0..<2).map { try data.image(at: $0) } == expected)
      }
    }
  }

  @Test func refusesDamagedHeaders() throws {
    let folder = try TemporaryFolder()
    let labels = try folder.write(Self.labels, to: "labels")
    let hostile: [(String, [UInt8])] = [
      ("magic number", [1] + Self.images.dropFirst()),
      ("magic number", idx(0x08, [2], [1, 0])),
      ("element type", idx(0x0B, [2, 2, 2], [UInt8](repeating: 0, count: 16))),
      ("element type", idx(0x0C, [2, 2, 2], [UInt8](repeating: 0, count: 32))),
      ("too long", Self.images + [0]),
      ("dimension", idx(0x08, [2, 0, 0], [])),
      ("dimension", idx(0x08, [0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF], [])),
      ("truncated", idx(0x08, [2, 1000, 1000], [0])),
      ("2x3", idx(0x08, [2, 2, 3], [UInt8](repeating: 0, count: 12))),
      ("3 images", idx(0x08, [3, 2, 2], [UInt8](repeating: 0, count: 12))),
    ]
    for (text, bytes) in hostile {
      let file = try folder.write(bytes, to: "hostile")
      let error = #expect(throws: DatasetError.self) {
        try IDXDataset(images: file, labels: labels)
      }
      #expect(error.map { "\($0)".contains(text) } == true, "\(String(describing: error))")
    }
  }

  @Test func inflatesNoBomb() throws {
    let folder = try TemporaryFolder()
    let labels = try folder.write(Self.labels, to: "labels")
    // 64 MiB of zeros behind a small header's worth of data: as a second gzip member.
    let bomb = try gzipBomb(kilobytes: 65_536)
    try #require(bomb.count < 100_000)
    let file = try folder.write(gzip(Self.images) + bomb, to: "bomb")
    #expect(throws: DatasetError.tooLong(path: file, expected: Self.images.count)) {
      try IDXDataset(images: file, labels: labels)
    }
    let reader = try ByteReader(path: file)
    #expect(throws: DatasetError.self) { try reader.finish(expected: 0) }
    #expect(reader.position == 1)
    // A header that promises more than the compressed bytes can hold is refused unread.
    let liar = try folder.write(gzip(idx(0x08, [2, 1024, 1024], [0, 0])), to: "liar")
    let error = #expect(throws: DatasetError.self) {
      try IDXDataset(images: liar, labels: labels)
    }
    #expect(error.map { "\($0)".contains("promises") } == true)
  }

  @Test func refusesStrayLabels() throws {
    let folder = try TemporaryFolder()
    var labels = (0..<200).map { UInt8($0 % 10) }
    #expect(try IDXDataset.classCount(of: labels.map { Int32($0) }, path: "l") == 10)
    for stray: UInt8 in [10, 11, 200, 255] {
      labels[17] = stray
      let error = #expect(throws: DatasetError.self) {
        try IDXDataset(
          images: folder.write(
            idx(0x08, [200, 1, 1], [UInt8](repeating: 0, count: 200)), to: "i"),
          labels: folder.write(idx(0x08, [200], labels), to: "l"))
      }
      #expect(
        error
          == .labelOutOfRange(
            path: folder.path + "/l", index: 17, label: Int(stray), classCount: 10))
    }
    // 47 real classes are believed, and so are letters that count from 1.
    #expect(try IDXDataset.classCount(of: (0..<470).map { Int32($0 % 47) }, path: "l") == 47)
    #expect(try IDXDataset.classCount(of: (0..<260).map { Int32($0 % 26 + 1) }, path: "l") == 27)
    #expect(throws: DatasetError.self) { try IDXDataset.classCount(of: [0, 1, -1], path: "l") }
  }

  @Test func namesMissingFilesAndTheirSource() throws {
    let folder = try TemporaryFolder()
    try folder.write(Self.images, to: "train-images-idx3-ubyte")
    let error = #expect(throws: DatasetError.self) {
      try DataSource.parse("mnist:\(folder.path)").load(seed: 0)
    }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains("t10k-labels-idx1-ubyte") && text.contains("train-labels-idx1-ubyte"))
    #expect(!text.contains("train-images-idx3-ubyte"))
    #expect(text.contains("yann.lecun.com/exdb/mnist") && text.contains(folder.path))
  }

  @Test func refusesWhatIsNoFile() throws {
    let folder = try TemporaryFolder()
    #expect(throws: DatasetError.self) { try ByteReader(path: folder.path) }
    #expect(throws: DatasetError.self) { try ByteReader(path: "/dev/zero") }
    #expect(throws: DatasetError.self) { try ByteReader(path: folder.path + "/absent") }
    try #require(mkfifo(folder.path + "/pipe", 0o600) == 0)
    #expect(throws: DatasetError.self) { try ByteReader(path: folder.path + "/pipe") }
    guard case .failure(let missing) = Zlib.load(["libz-absent.so"]) else {
      Issue.record("loaded an absent library")
      return
    }
    #expect(missing.reason.contains("libz-absent.so"))
  }
}
