import Testing

@testable import Espalier

@Suite("Expected costs", .seededWeights)
struct ExpectedCostTests {
  /// Probabilities of a few choices, and the expected cost by going through every architecture.
  private struct Enumeration {
    let space: SearchSpace
    let costs: ArchitectureCosts
    /// By key, a probability for each way of deciding it.
    var ways: [String: [(active: [Int], probability: Double)]] = [:]

    init(_ make: @escaping () -> any Layer, seed: UInt64) throws {
      space = try EspalierTests.space(of: make(), CostNets.image)
      costs = try ArchitectureCosts(image: CostNets.image, network: make)
      var generator = SeededGenerator(seed: seed)
      for choice in space.choices {
        let count = choice.candidateNames.count
        let sets = (0..<1 << count).map { mask in (0..<count).filter { mask >> $0 & 1 == 1 } }
          .filter { $0.count == (choice.kind == .input ? choice.chosenCount : 1) }
        let weights = sets.map { _ in 0.1 + generator.uniform() }
        let total = weights.reduce(0, +)
        ways[choice.key] = zip(sets, weights).map { ($0, $1 / total) }
      }
    }

    /// How probable each candidate is.
    var marginals: [String: [Double]] {
      Dictionary(
        uniqueKeysWithValues: space.choices.map { choice in
          (
            choice.key,
            choice.candidateNames.indices.map { index in
              (ways[choice.key] ?? []).filter { $0.active.contains(index) }
                .reduce(0) { $0 + $1.probability }
            }
          )
        })
    }

    func expected(_ key: CostKey, _ make: () -> any Layer) throws -> Double {
      try allArchitectures(space).reduce(0) { sum, choices in
        let probability = choices.reduce(1.0) { product, choice in
          product
            * ((ways[choice.key] ?? []).first { $0.active == choice.value.active }?.probability ?? 0)
        }
        let cost = try prunedCost(choices, space, CostNets.image, make)
        return sum + probability * Double(key == .parameters ? cost.parameters : cost.multiplyAdds)
      }
    }
  }

  @Test(
    "Under probabilities it is the mean over all architectures, in single and double precision",
    arguments: [CostKey.parameters, .multiplyAdds])
  func enumeration(key: CostKey) throws {
    for (number, make) in [CostNets.nested, CostNets.switched].enumerated() {
      let all = try Enumeration(make, seed: UInt64(7 + number))
      let expected = try all.expected(key, make)
      let single = try all.costs.expected(
        weights: all.marginals.mapValues { try Tensor($0.map(Float.init)) }, key)
      let double = try all.costs.expected(
        weights: all.marginals.mapValues { try Tensor($0) }, key)
      #expect(single.shape.count == 1 && double.dtype == .float64)
      #expect(abs(try single.item() - expected) < 1e-6 * expected, "net \(number)")
      #expect(abs(try double.item() - expected) < 1e-6 * expected, "net \(number)")
    }
  }

  @Test("Weights may be parts of one vector; choices without weights count as decided")
  func sharedVector() throws {
    let all = try Enumeration(CostNets.nested, seed: 3)
    let p = all.marginals
    let vector = try Tensor((p["twice"] ?? []) + [9] + (p["inner"] ?? []))
    func decision(_ key: String, _ offset: Int) -> Decision {
      Decision(.fixed, active: [0, 1], weights: vector, weightOffset: offset)
    }
    let found = try all.costs.expected(
      [
        "twice": decision("twice", 0), "inner": decision("inner", 3),
        "outer": Decision(.fixed, active: [1]),
      ], .multiplyAdds
    ).item()
    let expected = try (0..<2).flatMap { a in (0..<2).map { (a, $0) } }.reduce(0.0) { sum, pair in
      let choices = ["twice": [pair.0], "inner": [pair.1], "outer": [1]].mapValues {
        ResolvedChoice(active: $0)
      }
      let cost = try all.costs.exact(choices, .multiplyAdds)
      return sum + (p["twice"]?[pair.0] ?? 0) * (p["inner"]?[pair.1] ?? 0) * cost
    }
    #expect(abs(found - expected) < 1e-6 * expected)
  }

  @Test("Where a mixture has all edges and two of three will be taken, each counts two thirds")
  func openSwitch() throws {
    let all = try Enumeration(CostNets.switched, seed: 3)
    var decisions = all.marginals.mapValues { _ in Decision(.fixed, active: [0]) }
    decisions["node"] = Decision(.fixed, active: [0, 1, 2])
    let found = try all.costs.expected(decisions, .multiplyAdds).item()
    // Three edges of 1x1 from 1 to 2, the first without bias; behind them 3x3 from 2 to 2.
    let edges = Double(16 * 2 * (1 + 1) * 3)
    #expect(abs(found - (edges * 2 / 3 + Double(16 * 2 * (18 + 1)))) < 1e-3)
  }

  @Test("The gradient is the central difference, also through nested choices")
  func gradient() throws {
    for make in [CostNets.nested, CostNets.switched] {
      let all = try Enumeration(make, seed: 5)
      let keys = all.marginals.keys.sorted()
      let variables = try keys.map { key -> Variable in
        let values = all.marginals[key] ?? []
        return try Variable(values.map { Float($0) }, shape: [values.count])
      }
      func expected() throws -> Tensor {
        try all.costs.expected(
          weights: Dictionary(uniqueKeysWithValues: zip(keys, variables.map(\.tensor))),
          .multiplyAdds)
      }
      let tensors = variables.map(\.tensor)
      let (_, gradients) = try valueAndGradient(wrt: tensors) { () throws -> Tensor in
        try expected()
      }
      for (number, variable) in variables.enumerated() {
        let values: [Float] = try variable.scalars()
        let gradient: [Float] = try #require(gradients[number]).scalars()
        for index in values.indices {
          // A step that float32 holds exactly; the cost is linear in each weight.
          let costs = try [Float(0.25), -0.25].map { step -> Double in
            var moved = values
            moved[index] += step
            try variable.assign(moved)
            return try expected().item()
          }
          try variable.assign(values)
          let difference = 2 * (costs[0] - costs[1])
          #expect(abs(Double(gradient[index]) - difference) < 1e-4 * max(abs(difference), 1))
        }
      }
    }
  }

  @Test("Costs that do not add up have no expected value, and the error says what does")
  func refused() throws {
    let net = try ArchitectureCosts(image: CostNets.image, network: CostNets.conditional)
    // All its parameters stay, whatever the input choice takes.
    try net.requireSum(.parameters, for: "fbnet")
    let weights = try ["first": Tensor([0.5, 0.5] as [Float])]
    #expect(throws: SpaceError.self) { try net.expected(weights: weights, .multiplyAdds) }
    do {
      try net.requireSum(.multiplyAdds, for: "fbnet")
      Issue.record("a sum that is none")
    } catch {
      #expect("\(error)".contains("fbnet cannot decide multiply_adds"))
      #expect("\(error)".contains("use a limit"))
    }
    let shared = try ArchitectureCosts(image: CostNets.image, network: CostNets.sharing)
    #expect(throws: SpaceError.self) { try shared.requireSum(.parameters, for: "fbnet") }
  }

  @Test("A penalty multiplies or adds as its closed form says")
  func penalty() throws {
    let (loss, cost) = (try Tensor([2.0] as [Float]), try Tensor([1000.0] as [Float]))
    let multiplied = CostPenalty(
      .multiplyAdds, form: .multiply, scale: 0.2, exponent: 0.6, reference: 100)
    // 0.2 · 2 · (ln 1000 / ln 100)^0.6 = 0.4 · 1.5^0.6
    #expect(abs(try multiplied(loss, expected: cost).item() - 0.51017) < 1e-5)
    let added = CostPenalty(.multiplyAdds, form: .add, scale: 0.1, exponent: 1, reference: 800)
    #expect(abs(try added(loss, expected: cost).item() - 2.025) < 1e-6)
  }
}
