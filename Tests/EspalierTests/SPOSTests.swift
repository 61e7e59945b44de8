import Testing

@testable import Espalier

@Suite("SPOS", .seededWeights)
struct SPOSTests {
  /// Four choices between three scalings: 81 paths.
  private static func space() throws -> (SearchSpace, Model) {
    let choices = (0..<4).map { i in
      LayerChoice((0..<3).map { Scale(Float($0) + 0.5) as any Layer }, key: "c\(i)")
    }
    let linear = Linear(2, 3)
    let model = Model([
      "a": choices[0], "b": choices[1], "c": choices[2], "d": choices[3], "linear": linear,
    ]) { x in linear(choices.reduce(x) { $1($0) }) }
    return (try SearchSpace(of: model, input: [2]), model)
  }

  private func candidates(_ path: [String: ResolvedChoice]) -> [Int] {
    path.sorted { $0.key < $1.key }.map { $0.value.active[0] }
  }

  /// What a path costs: the sum of its candidates' numbers by place.
  private func cost(_ path: [String: ResolvedChoice]) -> Double {
    zip(candidates(path), [1, 2, 3, 5]).reduce(0) { $0 + Double($1.0 * $1.1) }
  }

  private struct Run {
    var result: [String: ResolvedChoice]?
    var evaluated: [[Int]] = []
  }

  private func evolve(
    _ settings: PathEvolution.Settings = PathEvolution.Settings(), evaluations: Int = 10_000,
    seed: UInt64 = 2, isAllowed: (([Int]) -> Bool)? = nil, score: ([Int], Int) -> Double
  ) throws -> Run {
    let (space, model) = try SPOSTests.space()
    var run = Run()
    var generator = SeededGenerator(seed: seed)
    var evolution = PathEvolution(space, settings: settings, evaluations: evaluations)
    run.result = try withExtendedLifetime(model) {
      try evolution.run(&generator) {
        isAllowed?(candidates($0)) ?? true
      } evaluate: {
        run.evaluated.append(candidates($0))
        return score(candidates($0), run.evaluated.count)
      }
    }
    return run
  }

  private static func sizes(_ population: Int, _ generations: Int) -> PathEvolution.Settings {
    PathEvolution.Settings(
      generations: generations, population: population, parents: 4, crossovers: population / 2,
      mutations: population / 2)
  }

  @Test("No path is evaluated twice, and no more than may be; a small space is used up")
  func evaluations() throws {
    let capped = try evolve(SPOSTests.sizes(10, 20), evaluations: 33) { list, _ in Double(list[0]) }
    #expect(capped.evaluated.count == 33)
    #expect(Set(capped.evaluated).count == 33)
    let rounds = try evolve(SPOSTests.sizes(10, 3)) { list, _ in Double(list[0]) }
    #expect(rounds.evaluated.count == 30)
    let all = try evolve { list, _ in Double(list[0]) }
    #expect(all.evaluated.count == 81 && Set(all.evaluated).count == 81)
  }

  @Test("The best of all evaluated is kept and stays a parent: NNI kept the last round's only")
  func best() throws {
    // The first is the best by far; the better half of its neighbours comes next.
    var first: [Int] = []
    let run = try evolve(
      PathEvolution.Settings(
        generations: 4, population: 6, parents: 1, crossovers: 0, mutations: 6,
        mutationProbability: 0.3)
    ) { list, count in
      if count == 1 { first = list }
      return count == 1 ? 100 : -Double(count)
    }
    #expect(candidates(try #require(run.result)) == first)
    // Every mutation comes from it: of 4 genes 0.8 change, so that all four change in 1 of 600.
    let near = run.evaluated.dropFirst(6).filter { zip($0, first).contains { $0 == $1 } }
    #expect(near.count >= run.evaluated.count - 6 - 1)
  }

  @Test("It climbs: with half of the evaluations it finds the one best path in 9 of 10 seeds")
  func climbs() throws {
    let found = try (0..<10).filter { seed in
      let run = try evolve(SPOSTests.sizes(8, 5), seed: UInt64(seed)) { list, _ in
        -Double(zip(list, [2, 0, 1, 2]).filter { $0 != $1 }.count)
      }
      #expect(run.evaluated.count == 40)
      return candidates(try #require(run.result)) == [2, 0, 1, 2]
    }
    #expect(found.count >= 9, "\(found)")
  }

  @Test(
    "Limits are asked before a path is evaluated; where nothing is within them there is no result")
  func limits() throws {
    let run = try evolve(SPOSTests.sizes(10, 3), isAllowed: { $0.reduce(0, +) <= 2 }) { list, _ in
      Double(list.reduce(0, +))
    }
    // 15 paths are within them.
    #expect(run.evaluated.count == 15 && run.evaluated.allSatisfy { $0.reduce(0, +) <= 2 })
    let none = try evolve(isAllowed: { _ in false }) { _, _ in 0 }
    #expect(none.result == nil && none.evaluated.isEmpty)
  }

  @Test("A crossover takes each gene of one of its two parents")
  func crossovers() throws {
    var checked = 0
    for seed in 0..<40 {
      let run = try evolve(
        PathEvolution.Settings(
          generations: 2, population: 6, parents: 2, crossovers: 6, mutations: 0),
        seed: UInt64(seed)
      ) { _, count in -Double(count) }
      // The first two evaluated are the parents; where all four genes differ 14 children are
      // possible, so that none of the six wanted is random.
      let (a, b) = (run.evaluated[0], run.evaluated[1])
      guard zip(a, b).allSatisfy({ $0 != $1 }) else { continue }
      checked += 1
      for child in run.evaluated.dropFirst(6) {
        #expect(child.indices.allSatisfy { [a[$0], b[$0]].contains(child[$0]) })
      }
    }
    #expect(checked > 3)
  }

  @Test("Input choices, which NNI's evolution refuses, take part")
  func inputChoices() throws {
    let net = InitialWeights.with(seed: 1) { ToyNet() }
    let space = try SearchSpace(of: net, input: [1, 6, 6])
    var generator = SeededGenerator(seed: 3)
    var evolution = PathEvolution(
      space, settings: SPOSTests.sizes(6, 4), evaluations: 40)
    let best = try evolution.run(&generator) { _ in
      true
    } evaluate: { path in
      path.values.flatMap(\.active).reduce(0) { $0 + Double($1) }
    }
    #expect(try #require(best)["one"]?.active == [1])
    #expect(try #require(best)["skip"]?.active.contains(1) == true)
  }

  @Test("Paths train within the window only; the mean of a bin's paths is not pulled to another's")
  func window() throws {
    let (space, model) = try SPOSTests.space()
    let strategy = SPOS(
      window: SPOS.Window(cost: .multiplyAdds, range: 4...9, binCount: 2),
      costs: PathCosts(exact: { path, _ in cost(path) }, isWithinLimits: { cost($0) <= 6 }))
    let context = try toyContext(model, space)
    try strategy.prepare(context)
    #expect((4...9).contains(cost(try strategy.architecture())))
    let window = try CostWindow(
      space, key: "sum", range: 4...9, binCount: 2, strategy: "spos", cost: cost)
    var low = 0
    for _ in 0..<400 {
      let cost = cost(window.draw(&context.generator))
      #expect((4...9).contains(cost))
      if cost < 6.5 { low += 1 }
    }
    #expect((150...250).contains(low))
    for (_, shares) in try strategy.probabilities() {
      #expect(abs(shares.reduce(0, +) - 1) < 1e-9)
    }
    // The result keeps to the limits, which the window does not.
    let evaluator = CandidateEvaluator(space) { cost($0) }
    #expect(cost(try strategy.finish(context, evaluate: evaluator)) == 6)
  }

  @Test("An empty window and costs that do not add up are refused with what there is")
  func refusals() throws {
    let (space, model) = try SPOSTests.space()
    func prepare(
      _ range: ClosedRange<Double>, _ exact: @escaping ([String: ResolvedChoice]) -> Double
    ) throws {
      let strategy = SPOS(
        window: SPOS.Window(cost: .parameters, range: range),
        costs: PathCosts(exact: { path, _ in exact(path) }, isWithinLimits: { _ in true }))
      try strategy.prepare(try toyContext(model, space))
    }
    let empty = #expect(throws: SpaceError.self) { try prepare(23...30, cost) }
    #expect(
      empty?.description
        == "spos cannot decide parameters: no architecture has one from 23.0 to 30.0; they go from 0.0 to 22.0"
    )
    let product = #expect(throws: SpaceError.self) {
      try prepare(1...4) { path in candidates(path).reduce(1) { $0 * Double(1 + $1) } }
    }
    #expect(product?.description.contains("does not add up") == true)
    let unlimited = SPOS(
      costs: PathCosts(exact: { _, _ in 0 }, isWithinLimits: { _ in false }))
    let context = try toyContext(model, space)
    try unlimited.prepare(context)
    // The trainer looks elsewhere, and fails where there is nothing.
    let first = try unlimited.architecture()
    let found = try unlimited.finish(context, evaluate: CandidateEvaluator(space) { _ in 0 })
    #expect(found == first)
  }

  @Test("A node's edges and their switch are one part: paths of the darts space are drawn exactly")
  func parts() throws {
    var configuration = DARTSSpace.Configuration()
    (configuration.channels, configuration.cells, configuration.nodes) = (2, 3, 2)
    let net = DARTSSpace(
      image: ImageShape(channels: 1, height: 8, width: 8), classes: 2,
      configuration: configuration)
    let space = try SearchSpace(of: net, input: [1, 8, 8])
    let parts = try space.parts(for: "spos")
    // Two nodes a kind of cell: 7 · 7 ways, and 3 pairs of edges of 7 · 7.
    #expect(parts.map(\.alternatives.count).sorted() == [49, 49, 147, 147])
    #expect(Set(parts.flatMap(\.keys)) == Set(space.choices.map(\.key)))
    for part in parts {
      #expect(abs(part.alternatives.reduce(0) { $0 + $1.probability } - 1) < 1e-9)
    }
    func layers(_ path: [String: ResolvedChoice]) -> Double {
      path.filter { space.isLayerChoice($0.key) }.reduce(0) {
        $0 + Double($1.value.active.first ?? 0)
      }
    }
    let window = try CostWindow(
      space, key: "sum", range: 20...22, binCount: 1, strategy: "spos", cost: layers)
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<50 {
      let path = window.draw(&generator)
      #expect((20...22).contains(layers(path)))
      #expect(space.withoutUnusedEdges(path) == path)
    }
  }
}
