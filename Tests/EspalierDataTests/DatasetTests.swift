import Foundation
import Testing

@testable import EspalierData

@Suite struct DatasetTests {
  @Test func cifarRecordsBecomeChannelsLast() throws {
    let folder = try TemporaryFolder()
    var record = [UInt8](repeating: 0, count: 3073)
    record[0] = 7
    record[1] = 255
    record[2] = 51
    record[1 + 1024] = 102
    record[1 + 2048 + 1023] = 204
    let file = try folder.write(record + record, to: "data_batch_3.bin")
    let packed = try folder.write(gzip(record), to: "test_batch.bin.gz")
    let sets = try CIFAR10Dataset.trainAndTest(in: folder.path)
    #expect(sets.train.count == 2 && sets.test.count == 1 && sets.train.classCount == 10)
    let image = try sets.train.image(at: 1)
    #expect(image[0] == 1 && image[1] == 0.4 && image[2] == 0 && image[3] == 0.2)
    #expect(image[1023 * 3 + 2] == 0.8)
    #expect(try sets.test.image(at: 0) == image)
    #expect(try sets.train.label(at: 1) == 7)

    for length in [0, 1, 3072, 3074, 6145] {
      let cut = try folder.write(Array((record + record).prefix(length)), to: "cut")
      #expect(throws: DatasetError.self) { try CIFAR10Dataset(files: [cut]) }
    }
    record[0] = 10
    try folder.write(record, to: "data_batch_3.bin")
    #expect(
      throws: DatasetError.labelOutOfRange(path: file, index: 0, label: 10, classCount: 10)
    ) { try CIFAR10Dataset(files: [file]) }
    let damaged = try folder.write(gzip(record).dropLast(6) + [0, 0, 0, 0, 0, 0], to: "crc.gz")
    #expect(throws: DatasetError.self) { try CIFAR10Dataset(files: [damaged]) }
    let bomb = try folder.write(gzipBomb(kilobytes: 65_536), to: "bomb.gz")
    #expect(throws: DatasetError.tooLong(path: bomb, expected: 30_730_000)) {
      try CIFAR10Dataset(files: [bomb])
    }
    try FileManager.default.removeItem(atPath: packed)
    let error = #expect(throws: DatasetError.self) {
      try CIFAR10Dataset.trainAndTest(in: folder.path)
    }
    #expect(error.map { "\($0)".contains("test_batch.bin") } == true)
    #expect(error.map { "\($0)".contains("kriz/cifar.html") } == true)
  }

  /// Numbers of the shared data (data/INDEX.md), where it is at hand.
  @Test(.enabled(if: access(realCIFAR10, R_OK) == 0))
  func readsRealCIFAR() throws {
    let data = try CIFAR10Dataset(
      files: [realCIFAR10 + "/data_batch_mini_1000.bin.gz"])
    #expect(data.count == 1000)
    #expect(try (0..<5).map { try data.label(at: $0) } == [6, 9, 9, 4, 1])
    let corner: [Float] = [59, 62, 63].map { $0 / 255 }
    #expect(try Array(data.image(at: 0).prefix(3)) == corner)
    let statistics = try ChannelStatistics(of: data)
    let mean: [Float] = [0.4903393, 0.48285264, 0.44551636]
    let deviation: [Float] = [0.24565932, 0.24293559, 0.26193403]
    #expect(zip(statistics.mean, mean).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(zip(statistics.standardDeviation, deviation).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  @Test func readsTheBundledImages() throws {
    let data = try DataSource.parse("fashion-mnist-mini").load(seed: 1)
    #expect(data.train.count == 6000 && data.test.count == 2000 && data.classCount == 10)
    #expect(try (0..<10).map { try data.train.label(at: $0) } == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5])
    #expect(try (0..<10).map { try data.test.label(at: $0) } == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7])
    #expect(abs(data.statistics.mean[0] - 0.28567284) < 1e-6)
    #expect(abs(data.statistics.standardDeviation[0] - 0.35368608) < 1e-6)
    let bytes = try data.train.image(at: 0).map { Int(($0 * 255).rounded()) }
    #expect(bytes.reduce(0, +) == 76247)
  }

  @Test func looksForTheBundleInOrder() throws {
    let folder = try TemporaryFolder()
    let inner = folder.path + "/Datasets/fashion-mnist-mini"
    try FileManager.default.createDirectory(atPath: inner, withIntermediateDirectories: true)
    try folder.write([], to: "Datasets/fashion-mnist-mini/train-images-idx3-ubyte.gz")
    let deep = folder.path + "/a/b"
    #expect(try FashionMNISTMini.directory(environment: nil, starts: ["", deep]) == inner)
    #expect(
      try FashionMNISTMini.directory(environment: folder.path + "/Datasets", starts: []) == inner)
    let error = #expect(throws: DatasetError.self) {
      try FashionMNISTMini.directory(environment: deep, starts: [folder.path])
    }
    #expect(error.map { "\($0)".contains(deep) && "\($0)".contains("ESPALIER_DATASETS") } == true)
    let nowhere = #expect(throws: DatasetError.self) {
      try FashionMNISTMini.directory(environment: nil, starts: ["/nowhere/x", "/nowhere"])
    }
    #expect(
      nowhere
        == .bundleNotFound(
          name: "fashion-mnist-mini",
          searched: ["/nowhere/x", "/nowhere", ""].map { "\($0)/Datasets/fashion-mnist-mini" }))
  }

  @Test func parsesNames() throws {
    #expect(try DataSource.parse("synthetic") == .synthetic)
    #expect(try DataSource.parse("cifar10:/a:b") == .cifar10(directory: "/a:b"))
    #expect(try DataSource.parse("usps:d") == .idx(name: "usps", directory: "d"))
    for text in ["", "mnits", "mnist", "mnist:", "cifar10", "synthetic:x", "fashion-mnist-mini:"] {
      let error = #expect(throws: DatasetError.self) { try DataSource.parse(text) }
      let line = error.map { "\($0)" } ?? ""
      #expect(line.contains("fashion-mnist-mini") || line.contains(":DIR"))
    }
    for name in DataSource.names {
      let text = name.replacing("DIR", with: "x")
      #expect(try DataSource.parse(text).description == text)
    }
  }

  @Test func syntheticImagesAreLearnable() throws {
    let train = SyntheticDataset(.train, seed: 5)
    let test = SyntheticDataset(.test, seed: 5)
    #expect(train.count == 2000 && test.count == 500 && train.classCount == 10)
    #expect(train.channels == 3 && train.height == 32 && train.width == 32)
    #expect(try test.image(at: 3) == SyntheticDataset(.test, seed: 5).image(at: 3))
    #expect(try test.image(at: 3) != SyntheticDataset(.test, seed: 6).image(at: 3))
    #expect(try train.image(at: 3) != test.image(at: 3))
    // Energy of differences in several directions and the leading colour tell the classes apart
    // by their nearest mean: the classes differ in what a convolution sees.
    let accuracy = try nearestMeanAccuracy(train: train, test: test, features: textureFeatures)
    #expect(accuracy > 0.9, "\(accuracy)")
  }

  @Test func measuresEachChannel() throws {
    let data = InMemoryDataset(
      images: [0, 1, 0.5, 0.25, 1, 0.75, 0.5, 0.5], labels: [0, 2], channels: 2, height: 1,
      width: 2)
    #expect(data.classCount == 3)
    let statistics = try ChannelStatistics(of: data)
    #expect(statistics.mean == [0.5, 0.625])
    #expect(abs(statistics.standardDeviation[0] - 0.35355338) < 1e-6)
    let flat = InMemoryDataset(bytes: [7, 7], labels: [0, 0], channels: 1, height: 1, width: 1)
    #expect(try ChannelStatistics(of: flat).standardDeviation == [1])
  }
}

private func textureFeatures(_ image: [Float]) -> [Float] {
  var features = [Float](repeating: 0, count: 9)
  let size = 32
  for y in 2..<size - 2 {
    for x in 2..<size - 2 {
      func value(_ dy: Int, _ dx: Int, _ channel: Int) -> Float {
        image[((y + dy) * size + x + dx) * 3 + channel]
      }
      for (i, (dy, dx)) in [(0, 2), (2, 0), (2, 2), (2, -2), (1, 2), (2, 1)].enumerated() {
        let difference = value(dy, dx, 1) - value(0, 0, 1)
        features[i] += difference * difference
      }
    }
  }
  let scale = features[0..<6].reduce(0, +)
  for i in 0..<6 { features[i] /= scale }
  // Red leads in one colour scheme, blue in the other.
  for pixel in 0..<size * size {
    features[6] += (image[pixel * 3] - image[pixel * 3 + 2]) / Float(size * size)
  }
  return features
}

private func nearestMeanAccuracy(
  train: SyntheticDataset, test: SyntheticDataset, features: ([Float]) -> [Float]
) throws -> Double {
  var means = [[Float]](repeating: [], count: 10)
  var all: [[Float]] = []
  for index in 0..<400 {
    let row = features(try train.image(at: index))
    all.append(row)
    let label = Int(try train.label(at: index))
    means[label] = means[label].isEmpty ? row : zip(means[label], row).map(+)
  }
  means = means.map { $0.map { $0 / 40 } }
  let spread = (0..<means[0].count).map { i in
    max(1e-9, all.reduce(0) { $0 + abs($1[i] - means[5][i]) } / Float(all.count))
  }
  var correct = 0
  for index in 0..<200 {
    let row = features(try test.image(at: index))
    let distances = means.map { mean in
      (0..<row.count).reduce(Float(0)) { sum, i in
        let d = (row[i] - mean[i]) / spread[i]
        return sum + d * d
      }
    }
    let nearest = distances.indices.min { distances[$0] < distances[$1] }
    if nearest == Int(try test.label(at: index)) { correct += 1 }
  }
  return Double(correct) / 200
}

/// Real images, in a folder beside the repository that may not be there: they may not be shipped.
private let realCIFAR10 =
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().path + "/shared/data/cifar10/mini"
