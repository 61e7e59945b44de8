import Testing

@testable import EspalierData

@Suite struct NumPyFileTests {
  func npy(_ descr: String, _ shape: String, _ data: [UInt8], order: String = "False") -> [UInt8] {
    var text = "{'descr': '\(descr)', 'fortran_order': \(order), 'shape': \(shape), }"
    text += String(repeating: " ", count: 63 - (text.utf8.count + 10) % 64) + "\n"
    let length = text.utf8.count
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 255), UInt8(length >> 8)]
      + Array(text.utf8) + data
  }

  @Test func readsImagesAndLabels() throws {
    let folder = try TemporaryFolder()
    let floats: [Float] = [0, 0.25, 0.5, 1, 1, 0.5, 0.25, 0]
    let data = floats.flatMap { littleEndianBytes($0.bitPattern) }
    let images = try folder.write(npy("<f4", "(2, 2, 1, 2)", data), to: "x.npy")
    let labels = try folder.write(
      npy("<i8", "(2,)", [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), to: "y.npy")
    let last = try InMemoryDataset(npyImages: images, npyLabels: labels)
    #expect(last.channels == 2 && last.height == 2 && last.width == 1)
    #expect(try last.image(at: 0) == [0, 0.25, 0.5, 1])
    #expect(last.label(at: 0) == 1 && last.classCount == 2)
    let first = try InMemoryDataset(
      npyImages: images, npyLabels: labels, layout: .channelsFirst)
    #expect(first.channels == 2 && first.height == 1 && first.width == 2)
    #expect(try first.image(at: 0) == [0, 0.5, 0.25, 1])
    let targets = try folder.write(npy("<f4", "(2, 4)", data), to: "t.npy")
    let regression = try InMemoryDataset(npyImages: images, npyLabels: targets)
    #expect(regression.classCount == nil && regression.targetCount == 4)
    let batch = try Batch(of: regression, at: [1, 0])
    #expect(batch.targets == [1, 0.5, 0.25, 0, 0, 0.25, 0.5, 1] && batch.labels.isEmpty)
  }

  @Test func refusesWhatItCannotRead() throws {
    let folder = try TemporaryFolder()
    let good = npy("|u1", "(2, 1, 1)", [3, 4])
    #expect(try NumPyFile(path: folder.write(good, to: "good")).shape == [2, 1, 1])
    for length in 0..<good.count {
      let file = try folder.write(Array(good.prefix(length)), to: "cut")
      #expect(throws: DatasetError.self, "length \(length)") { try NumPyFile(path: file) }
    }
    let hostile: [[UInt8]] = [
      good + [0], npy("|u1", "(2, 1, 1)", [3, 4], order: "True"), npy("<f8", "(1,)", [0]),
      npy(">f4", "(1,)", [0, 0, 0, 0]), npy("|O", "(1,)", [0]), npy("|u1", "(-1,)", [0]),
      npy("|u1", "(99999999999999999999,)", [0]), npy("|u1", "(4294967296, 4294967296)", [0]),
      npy("|u1", "(9223372036854775807, 3)", [0]), npy("|u1", "(2, 1", [0]),
      npy("|u1", "(2,), 'more': 1", [0, 0]), npy("|u1", "(2,), 'shape': (2,)", [0, 0]),
      npy("|u1", "(1000000,)", [0, 0]), npy("|u1", "__import__('os')", [0]),
    ]
    for (i, bytes) in hostile.enumerated() {
      let file = try folder.write(bytes, to: "hostile")
      #expect(throws: DatasetError.self, "case \(i)") { try NumPyFile(path: file) }
    }
    for position in 0..<good.count - 2 {
      var bytes = good
      bytes[position] ^= 0x11
      // No crash, whatever it says.
      _ = try? NumPyFile(path: folder.write(bytes, to: "flipped"))
    }
    let labels = try folder.write(npy("<i4", "(2,)", [1, 0, 0, 0, 255, 255, 255, 255]), to: "l")
    #expect(
      throws: DatasetError.labelOutOfRange(path: labels, index: 1, label: -1, classCount: 2)
    ) { try InMemoryDataset(npyImages: folder.path + "/good", npyLabels: labels) }
  }
}
