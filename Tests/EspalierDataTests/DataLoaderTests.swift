import Foundation
import Testing

@testable import EspalierData

@Suite struct DataLoaderTests {
  static let dataset = SyntheticDataset(.test, seed: 2)

  func loader(
    indices: [Int]? = Array(100..<150), batchSize: Int = 8, seed: UInt64 = 4,
    shuffles: Bool = true, dropsLast: Bool = false, prefetch: Int = 3
  ) -> DataLoader {
    DataLoader(
      Self.dataset, indices: indices, batchSize: batchSize,
      transforms: [RandomCrop(padding: 4), HorizontalFlip(), Cutout(length: 8)], seed: seed,
      shuffles: shuffles, dropsLast: dropsLast, prefetch: prefetch)
  }

  @Test func eachEpochIsAPermutationOfTheView() throws {
    let loader = loader()
    var orders: [[Int]] = []
    for _ in 0..<3 {
      var order: [Int] = []
      var sizes: [Int] = []
      while let batch = try loader.next() {
        #expect(batch.shape == [batch.count, 3, 32, 32])
        #expect(batch.images.count == batch.count * 3072)
        for (label, index) in zip(batch.labels, batch.indices) {
          #expect(try label == Self.dataset.label(at: index))
        }
        order += batch.indices
        sizes.append(batch.count)
      }
      #expect(order.sorted() == Array(100..<150))
      #expect(sizes == [8, 8, 8, 8, 8, 8, 2])
      orders.append(order)
    }
    #expect(Set(orders).count == 3)
    #expect(loader.state == DataLoader.State(epoch: 3, nextIndex: 0))
    #expect(loader.batchesInEpoch == 7)
  }

  @Test func optionsAreKept() throws {
    let dropping = loader(dropsLast: true)
    #expect(dropping.batchesInEpoch == 6)
    var count = 0
    while let batch = try dropping.next() { count += batch.count }
    #expect(count == 48)
    let plain = loader(shuffles: false)
    #expect(try plain.next()?.indices == Array(100..<108))
    // Fewer samples than a batch still train.
    let small = loader(indices: [5, 6], dropsLast: true)
    #expect(try small.next()?.count == 2)
    #expect(try small.next() == nil)
    #expect(try small.nextCycling().count == 2)
  }

  @Test func bytesDoNotDependOnThreads() throws {
    let (none, many) = (loader(prefetch: 0), loader(prefetch: 9))
    var images: Set<[Float]> = []
    for _ in 0..<20 {
      let (a, b) = (try none.nextCycling(), try many.nextCycling())
      #expect(a.indices == b.indices && a.images == b.images)
      images.insert(a.images)
    }
    #expect(images.count == 20)
    #expect(try loader(seed: 5).nextCycling().indices != loader().nextCycling().indices)
  }

  @Test(arguments: [0, 1, 3, 6, 7, 11]) func resumesAtTheNextBatchToDeliver(after: Int) throws {
    let whole = loader()
    for _ in 0..<after { _ = try whole.nextCycling() }
    let saved = try JSONEncoder().encode(whole.state)
    let resumed = loader()
    _ = try resumed.next()
    resumed.restore(try JSONDecoder().decode(DataLoader.State.self, from: saved))
    #expect(resumed.state == whole.state)
    for _ in 0..<10 {
      let (a, b) = (try whole.next(), try resumed.next())
      #expect(a?.indices == b?.indices && a?.images == b?.images)
      #expect(whole.state == resumed.state)
    }
  }

  @Test func augmentationDependsOnSeedEpochAndSampleOnly() throws {
    func images(_ indices: [Int], seed: UInt64 = 1, epoch: Int = 0) throws -> [[Float]] {
      let batch = try Batch(
        of: Self.dataset, at: indices, transforms: [RandomCrop(padding: 4)], seed: seed,
        epoch: epoch)
      return (0..<batch.count).map { Array(batch.images[$0 * 3072..<($0 + 1) * 3072]) }
    }
    let several = try images([7, 3, 9])
    #expect(try images([9, 7]) == [several[2], several[0]])
    // Of 81 windows a few may agree by chance.
    let many = Array(0..<20)
    for other in [try images(many, epoch: 1), try images(many, seed: 2)] {
      #expect(zip(other, try images(many)).filter { $0 == $1 }.count < 5)
    }
  }

  @Test func carriesErrorsAndStaysAtTheFailedBatch() throws {
    let loader = DataLoader(
      FailingDataset(failing: 5), batchSize: 2, seed: 0, shuffles: false, prefetch: 3)
    #expect(try loader.next()?.indices == [0, 1])
    #expect(try loader.next()?.indices == [2, 3])
    for _ in 0..<2 {
      #expect(throws: DatasetError.unreadable(path: "sample 5", reason: "gone")) {
        try loader.next()
      }
      #expect(loader.state.nextIndex == 4)
    }
  }

  @Test(.timeLimit(.minutes(1))) func isReleasedWhileBatchesAreOnTheirWay() throws {
    for _ in 0..<10 {
      let loader = loader(prefetch: 8)
      _ = try loader.next()
    }
  }

  @Test func fillsABatchFast() throws {
    let data = InMemoryDataset(
      bytes: [UInt8](repeating: 100, count: 64 * 784), labels: [Int32](repeating: 0, count: 64),
      channels: 1, height: 28, width: 28)
    let transforms: [any Augmentation] = [
      RandomCrop(padding: 4), HorizontalFlip(), Normalize(try ChannelStatistics(of: data)),
    ]
    let clock = ContinuousClock()
    let fastest = try (0..<20).map { epoch in
      try clock.measure {
        _ = try Batch(of: data, at: Array(0..<64), transforms: transforms, epoch: epoch)
      }
    }.min()
    #if DEBUG
      let limit = Duration.milliseconds(50)
    #else
      let limit = Duration.milliseconds(1)
    #endif
    #expect((fastest ?? .seconds(1)) < limit)
  }
}

@Suite struct DatasetSplitTests {
  @Test func halvesShareNothingAndMixClasses() {
    // Ordered by class: 100 samples of each of 10 classes.
    let (first, second) = DatasetSplit.halves(count: 1000, portion: 0.5, seed: 1)
    #expect(first.count == 500 && second.count == 500)
    #expect(Set(first + second).count == 1000)
    for part in [first, second] {
      let counts = Dictionary(grouping: part) { $0 / 100 }.mapValues(\.count)
      #expect(counts.count == 10 && counts.values.allSatisfy { $0 > 25 && $0 < 75 })
    }
    #expect(DatasetSplit.halves(count: 1000, portion: 0.5, seed: 1).first == first)
    #expect(DatasetSplit.halves(count: 1000, portion: 0.5, seed: 2).first != first)
    let whole = DatasetSplit.halves(count: 10, portion: 1, seed: 1)
    #expect(whole.first.count == 10 && whole.second.isEmpty)
    #expect(DatasetSplit.halves(count: 10, portion: 0.01, seed: 1).first.count == 1)
    let limited = DatasetSplit.halves(count: 1000, portion: 0.5, seed: 1, images: 100)
    #expect(limited.first.count == 50 && limited.second.count == 50)
    #expect(
      limited.first + limited.second == DatasetSplit.first(100, of: 1000, seed: 1))
  }
}

private struct FailingDataset: Dataset {
  let failing: Int
  var count: Int { 10 }
  var channels: Int { 1 }
  var height: Int { 1 }
  var width: Int { 1 }
  var classCount: Int? { 2 }

  func fillImage(
    at index: Int, into image: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError) {
    if index == failing { throw .unreadable(path: "sample \(index)", reason: "gone") }
  }

  func label(at index: Int) throws(DatasetError) -> Int32 { 0 }
}
