import Testing

@testable import Espalier

@Suite("Every strategy", .seededWeights)
struct StrategyContractTests {
  private static let all: [String] = StrategyDefinition.all.map(\.name)

  private struct Search {
    let net: any Layer
    let space: SearchSpace
    let context: SearchContext
    let strategy: any SearchStrategy
    let seed: UInt64
    var losses: [Double] = []

    init(_ name: String, seed: UInt64 = 5) throws {
      self.seed = seed
      net = InitialWeights.with(seed: 1) { toyNet(for: name) }
      space = try toySpace(net)
      context = try toyContext(net, space, seed: seed)
      strategy = try #require(StrategyDefinition.named(name)).make(SettingValues())
      try strategy.prepare(context)
    }

    mutating func train(steps: Int) throws {
      for number in 0..<steps {
        func batch(_ start: Int) throws -> TensorBatch {
          try TensorBatch(Batch(of: toyImages(48), at: (0..<8).map { (start + 5 * $0) % 48 }))
        }
        let result = try step(random: RandomState(seed: seed, step: UInt32(number))) {
          try strategy.step(context, training: try batch(number)) { try batch(number + 24) }
        }
        losses.append(try result.loss.item())
      }
    }

    /// The score of an architecture that prefers late candidates.
    func finish() throws -> [String: ResolvedChoice] {
      let evaluator = CandidateEvaluator(space) { choices in
        choices.values.flatMap(\.active).reduce(0) { $0 + Double($1) }
      }
      return try strategy.finish(context, evaluate: evaluator)
    }
  }

  @Test(
    "The same seed gives the same losses, weights, probabilities and architecture", arguments: all
  )
  func deterministic(name: String) throws {
    func run(_ seed: UInt64) throws -> (
      [Double], [[Float]], [String: [Double]], [String: ResolvedChoice]
    ) {
      var search = try Search(name, seed: seed)
      try search.train(steps: 5)
      let weights = try search.net.parameters.map { try $0.variable.scalars() as [Float] }
      return (
        search.losses, weights, try search.strategy.probabilities(), try search.finish()
      )
    }
    let (first, second, other) = (try run(5), try run(5), try run(6))
    #expect(first.0 == second.0)
    #expect(first.1 == second.1)
    #expect(first.2 == second.2)
    #expect(first.3 == second.3)
    #expect(first.1 != other.1)
  }

  @Test("Probabilities cover every choice that is decided, and are probabilities", arguments: all)
  func probabilities(name: String) throws {
    var search = try Search(name)
    try search.train(steps: 3)
    let probabilities = try search.strategy.probabilities()
    #expect(Set(probabilities.keys) == Set(search.space.choices.map(\.key)))
    for choice in search.space.choices {
      let p = try #require(probabilities[choice.key])
      #expect(p.count == choice.candidateNames.count)
      #expect(p.allSatisfy { (0...1).contains($0) })
      if choice.kind == .layer { #expect(abs(p.reduce(0, +) - 1) < 1e-5) }
    }
  }

  @Test(
    "The architecture decides every key as the space allows, and survives its JSON",
    arguments: all)
  func architecture(name: String) throws {
    var search = try Search(name)
    try search.train(steps: 3)
    for choices in [try search.strategy.architecture(), try search.finish()] {
      #expect(Set(choices.keys) == Set(search.space.choices.map(\.key)))
      let text = Architecture(choices, in: search.space.choices).jsonText
      let read = try Architecture(parsing: Array(text.utf8), source: "a.json")
      #expect(try read.resolved(against: search.space.choices) == choices)
    }
  }

  @Test("Training lowers the loss and leaves no decision behind", arguments: all)
  func learns(name: String) throws {
    var search = try Search(name)
    let start = try search.net.parameters.map { try $0.variable.scalars() as [Float] }
    try search.train(steps: 40)
    #expect(try search.net.parameters.map { try $0.variable.scalars() as [Float] } != start)
    let early = search.losses.prefix(8).reduce(0, +)
    let late = search.losses.suffix(8).reduce(0, +)
    #expect(late < early, "\(early) to \(late)")
    #expect(search.space.mutables.values.joined().allSatisfy { $0.box.decision == nil })
  }

  @Test("Applying the result keeps the output of the chosen path", arguments: all)
  func applied(name: String) throws {
    var search = try Search(name)
    try search.train(steps: 3)
    let choices = try search.finish()
    let x = try noise([4, 1, 6, 6])
    let expected =
      try step {
        Mode.with(.supernetEvaluation) {
          search.space.with(search.space.sampledDecisions(choices)) { search.net(x) }
        }
      }.scalars() as [Float]
    try search.net.apply(Architecture(choices, in: search.space.choices))
    let found = try step { Mode.with(.supernetEvaluation) { search.net(x) } }.scalars() as [Float]
    expectClose(found, expected)
  }

  @Test("A checkpoint's variables and optimizers have distinct names", arguments: all)
  func checkpointNames(name: String) throws {
    let search = try Search(name)
    let variables = search.strategy.variables.map(\.name)
    #expect(Set(variables).count == variables.count)
    let optimizers = search.strategy.optimizers.map(\.name)
    #expect(Set(optimizers + ["weights"]).count == optimizers.count + 1)
  }

  @Test("A strategy keeps what it decides about: it exports when nothing else does", arguments: all)
  func outlivesItsContext(name: String) throws {
    let strategy = try toyStrategy(name)
    func prepare() throws -> () -> Bool {
      let net = toyNet(for: name)
      let context = try toyContext(net, try toySpace(net))
      try strategy.prepare(context)
      return { [weak context] in context == nil }
    }
    let isContextGone = try prepare()
    let keys = Set(try toySpace(toyNet(for: name)).choices.map(\.key))
    #expect(isContextGone())
    #expect(try Set(strategy.architecture().keys) == keys)
    #expect(try Set(strategy.probabilities().keys) == keys)
  }

  @Test("What a search needs is planned before its first step", arguments: all)
  func plannedAhead(name: String) throws {
    let misses = try planMisses(toyStrategy(name))
    #expect(misses.count > 4 && misses.allSatisfy { $0 == 0 }, "\(misses)")
  }
}
