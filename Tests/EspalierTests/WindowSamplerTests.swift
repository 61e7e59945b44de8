import Testing

@testable import Espalier

@Suite("Window sampler", .seededWeights)
struct WindowSamplerTests {
  private typealias Terms = [[WindowSampler.Alternative]]

  /// Every combination with its sum and weight.
  private func combinations(_ terms: Terms) -> [(chosen: [Int], cost: Double, weight: Double)] {
    terms.reduce([(chosen: [], cost: 0, weight: 1)]) { list, term in
      list.flatMap { partial in
        term.indices.map {
          (
            partial.chosen + [$0], partial.cost + term[$0].cost, partial.weight * term[$0].weight
          )
        }
      }
    }
  }

  /// Each combination's probability: a filled bin uniformly, then by weight within it.
  private func expected(_ terms: Terms, _ window: ClosedRange<Double>, _ binCount: Int)
    -> [[Int]: Double]
  {
    let width = (window.upperBound - window.lowerBound) / Double(binCount)
    var bins = [[(chosen: [Int], weight: Double)]](repeating: [], count: binCount)
    for (chosen, cost, weight) in combinations(terms) where window.contains(cost) {
      let bin = width > 0 ? Int((cost - window.lowerBound) / width) : 0
      bins[min(bin, binCount - 1)].append((chosen, weight))
    }
    let filled = bins.filter { !$0.isEmpty }
    var result: [[Int]: Double] = [:]
    for bin in filled {
      let total = bin.reduce(0) { $0 + $1.weight }
      for (chosen, weight) in bin { result[chosen] = weight / total / Double(filled.count) }
    }
    return result
  }

  private struct Case {
    var name: String
    var terms: Terms
    var window: ClosedRange<Double>
    var binCount: Int

    /// `count` terms of three alternatives each.
    init(
      _ name: String, _ window: ClosedRange<Double>, bins: Int, count: Int = 5,
      weight: (_ term: Int, _ alternative: Int) -> Int = { _, _ in 1 },
      cost: (_ term: Int, _ alternative: Int) -> Double
    ) {
      (self.name, self.window, binCount) = (name, window, bins)
      terms = (0..<count).map { term in
        (0..<3).map {
          WindowSampler.Alternative(cost: cost(term, $0), weight: Double(weight(term, $0)))
        }
      }
    }
  }

  /// Sums on the borders of bins, any sums, alternatives of unequal weights, a window of one number.
  private static let cases = [
    Case("whole numbers", 6...18, bins: 4) { Double($1 * ($0 + 1)) },
    Case("any numbers", 6.5...10, bins: 3) { Double((7 * $0 + 5 * $1) % 11) / 3 + 0.1 },
    Case("unequal weights", 13...25, bins: 7, weight: { 1 + ($0 + $1) % 3 }) {
      Double($1 * $1 + $0)
    },
    Case("one number", 4...4, bins: 7, count: 3) { Double($0 + $1) },
  ]

  @Test("Draws are as probable as enumeration says, by chi-square", arguments: cases.map(\.name))
  func distribution(name: String) throws {
    let found = try #require(WindowSamplerTests.cases.first { $0.name == name })
    let (terms, window, binCount) = (found.terms, found.window, found.binCount)
    let sampler = WindowSampler(terms, window: window, binCount: binCount)
    let expected = expected(terms, window, binCount)
    #expect(expected.count > 1 && expected.count < combinations(terms).count)
    var generator = SeededGenerator(seed: 11)
    let draws = 20_000
    var counts: [[Int]: Int] = [:]
    for _ in 0..<draws { counts[sampler.draw(&generator), default: 0] += 1 }
    #expect(counts.keys.allSatisfy { expected[$0] != nil }, "a draw outside of the window")
    let chiSquare = expected.reduce(0.0) { sum, entry in
      let (wanted, found) = (entry.value * Double(draws), Double(counts[entry.key] ?? 0))
      return sum + (found - wanted) * (found - wanted) / wanted
    }
    // Mean k − 1, variance 2(k − 1): four deviations.
    let freedom = Double(expected.count - 1)
    #expect(chiSquare < freedom + 4 * (2 * freedom).squareRoot(), "\(chiSquare) for \(freedom)")
  }

  @Test("A window that nothing lies in is empty, also between two sums that lie close together")
  func empty() {
    let terms = (0..<4).map { _ in
      [1.0, 2.0].map { WindowSampler.Alternative(cost: $0, weight: 1) }
    }
    #expect(WindowSampler(terms, window: 9...10, binCount: 3).isEmpty)
    #expect(WindowSampler(terms, window: 5.0001...5.9999, binCount: 3).isEmpty)
    #expect(!WindowSampler(terms, window: 5.0001...6, binCount: 3).isEmpty)
    #expect(WindowSampler(terms, window: 0...1, binCount: 1).reach == 4...8)
  }

  @Test("A narrow window of a space of 4^40 paths is met at once: NNI gave up after 500 tries")
  func narrow() {
    let terms = (0..<40).map { i in
      (0..<4).map {
        WindowSampler.Alternative(cost: 1 + Double(($0 * 37 + i * 11) % 50), weight: 1)
      }
    }
    let least = WindowSampler(terms, window: 0...0, binCount: 1).reach.lowerBound
    let window = least + 20...least + 40
    let sampler = WindowSampler(terms, window: window, binCount: 2)
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<50 {
      let drawn = sampler.draw(&generator)
      #expect(window.contains(zip(terms, drawn).reduce(0) { $0 + $1.0[$1.1].cost }))
    }
  }
}
