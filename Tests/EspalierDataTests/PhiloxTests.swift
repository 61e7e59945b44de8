import Testing

@testable import EspalierData

@Suite struct PhiloxTests {
  /// The known answers published with Random123 (kat_vectors, philox 4x32, 10 rounds).
  @Test func matchesPublishedVectors() {
    let zero = Philox.block(counter: .zero, key: .zero)
    #expect(zero == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
    let ones = Philox.block(
      counter: .init(repeating: 0xFFFF_FFFF), key: .init(repeating: 0xFFFF_FFFF))
    #expect(ones == [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD])
    let pi = Philox.block(
      counter: [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344],
      key: [0xA409_3822, 0x299F_31D0])
    #expect(pi == [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1])
  }

  @Test func streamsDifferByEveryCoordinate() {
    func first(_ seed: UInt64, _ purpose: Philox.Purpose, _ epoch: Int, _ index: Int) -> UInt64 {
      var generator = Philox(seed: seed, purpose: purpose, epoch: epoch, index: index)
      return generator.next()
    }
    let values = [
      first(1, .order, 0, 0), first(1 << 32, .order, 0, 0), first(1, .augmentation, 0, 0),
      first(1, .order, 1, 0), first(1, .order, 0, 1), first(1, .split, 0, 0),
      first(1, .synthesis, 0, 0),
    ]
    #expect(Set(values).count == values.count)
    #expect(first(1, .order, 3, 4) == first(1, .order, 3, 4))
  }

  @Test func integersAreUniformAndInRange() {
    var generator = Philox(seed: 7, purpose: .split)
    var counts = [Int](repeating: 0, count: 9)
    for _ in 0..<90_000 { counts[generator.integer(below: 9)] += 1 }
    // Nine cells of 10,000: a standard deviation of 94.
    #expect(counts.allSatisfy { abs($0 - 10_000) < 500 })
    #expect((0..<100).allSatisfy { _ in generator.integer(below: 1) == 0 })
    #expect((0..<10_000).allSatisfy { _ in (0..<1).contains(generator.uniform()) })
  }

  @Test func shuffleIsAPermutationOfEveryElement() {
    var values = Array(0..<1000)
    var generator = Philox(seed: 3, purpose: .order)
    generator.shuffle(&values)
    #expect(values != Array(0..<1000))
    #expect(values.sorted() == Array(0..<1000))
    // Every element can stay and can move: all 6 orders of three appear about equally.
    var orders: [[Int]: Int] = [:]
    for epoch in 0..<6000 {
      var three = [0, 1, 2]
      var generator = Philox(seed: 3, purpose: .order, epoch: epoch)
      generator.shuffle(&three)
      orders[three, default: 0] += 1
    }
    #expect(orders.count == 6)
    #expect(orders.values.allSatisfy { abs($0 - 1000) < 150 })
  }
}
