/// Architectures of a space whose cost lies in a window, drawn exactly.
struct CostWindow {
  private let parts: [SpacePart]
  private let sampler: WindowSampler

  /// A window over a cost that adds up over the space's parts.
  ///
  /// - Parameters:
  ///   - key: The cost's name, such as `multiply_adds`.
  ///   - range: The costs wanted.
  ///   - binCount: Equal bins, drawn uniformly.
  ///   - strategy: Who asks, for messages.
  ///   - cost: The cost of an architecture.
  /// - Throws: `SpaceError` where the cost does not add up, or where no architecture has such a cost.
  init(
    _ space: SearchSpace, key: String, range: ClosedRange<Double>, binCount: Int, strategy: String,
    cost: ([String: ResolvedChoice]) throws -> Double
  ) throws {
    let parts = try space.parts(for: strategy)
    self.parts = parts
    let first = [Int](repeating: 0, count: parts.count)
    let base = try cost(CostWindow.architecture(of: parts, first))
    var terms = [[WindowSampler.Alternative(cost: base, weight: 1)]]
    for (index, part) in parts.enumerated() {
      terms.append(
        try part.alternatives.indices.map { alternative in
          var chosen = first
          chosen[index] = alternative
          let other = try cost(CostWindow.architecture(of: parts, chosen))
          return WindowSampler.Alternative(
            cost: other - base, weight: part.alternatives[alternative].probability)
        })
    }
    try CostWindow.requireSum(terms, parts, key, strategy, cost)
    sampler = WindowSampler(terms, window: range, binCount: binCount)
    guard !sampler.isEmpty else {
      throw SpaceError.undecidable(
        key: key, strategy: strategy,
        reason: "no architecture has one from \(range.lowerBound) to \(range.upperBound); they go "
          + "from \(sampler.reach.lowerBound) to \(sampler.reach.upperBound)")
    }
  }

  /// An architecture: a bin uniformly, then one of its architectures uniformly.
  func draw(_ generator: inout SeededGenerator) -> [String: ResolvedChoice] {
    CostWindow.architecture(of: parts, Array(sampler.draw(&generator).dropFirst()))
  }

  private static func architecture(of parts: [SpacePart], _ alternatives: [Int])
    -> [String: ResolvedChoice]
  {
    var result: [String: ResolvedChoice] = [:]
    for (part, alternative) in zip(parts, alternatives) {
      result.merge(part.alternatives[alternative].choices) { $1 }
    }
    return result
  }

  /// Throws where the cost of some architectures is not the sum of its parts.
  private static func requireSum(
    _ terms: [[WindowSampler.Alternative]], _ parts: [SpacePart], _ key: String,
    _ strategy: String, _ cost: ([String: ResolvedChoice]) throws -> Double
  ) throws {
    var generator = SeededGenerator(seed: 0)
    for _ in 0..<16 {
      let chosen = parts.map { Int.random(in: 0..<$0.alternatives.count, using: &generator) }
      let sum = zip(terms, [0] + chosen).reduce(0) { $0 + $1.0[$1.1].cost }
      let exact = try cost(architecture(of: parts, chosen))
      guard abs(sum - exact) <= 1e-9 * max(abs(sum), abs(exact)) else {
        throw SpaceError.undecidable(
          key: key, strategy: strategy,
          reason: "it does not add up over the choices, one candidate's depends on another choice; "
            + "leave the window out and use a limit")
      }
    }
  }
}
