import Testing

@testable import Espalier

@Suite("Random search", .seededWeights)
struct RandomSearchTests {
  @Test("Architectures are uniform: candidates, subsets of so many, fair coins for any number")
  func uniform() throws {
    let layer = LayerChoice(["zero": Zero(stride: 1), "a": Scale(1), "b": Scale(2)])
    let two = InputChoice(candidateCount: 3, chosenCount: 2)
    let any = InputChoice(candidateCount: 2)
    let model = Model(["layer": layer, "two": two, "any": any]) { x in
      let y = layer(x)
      return (two([x, y, y]) ?? x) + (any([x, y]) ?? x)
    }
    let space = try SearchSpace(of: model, input: [1])
    var generator = SeededGenerator(seed: 4)
    var counts: [String: Int] = [:]
    let draws = 1200
    for _ in 0..<draws {
      for (key, choice) in space.randomArchitecture(&generator) {
        counts["\(key)\(choice.active)", default: 0] += 1
      }
    }
    let expected: [String: Double] = [
      "layer[0]": 1 / 3, "layer[1]": 1 / 3, "layer[2]": 1 / 3, "two[0, 1]": 1 / 3,
      "two[0, 2]": 1 / 3,
      "two[1, 2]": 1 / 3, "any[]": 1 / 4, "any[0]": 1 / 4, "any[1]": 1 / 4, "any[0, 1]": 1 / 4,
    ]
    #expect(Set(counts.keys) == Set(expected.keys))
    for (key, share) in expected {
      let deviation = (share * (1 - share) * Double(draws)).squareRoot()
      #expect(abs(Double(counts[key] ?? 0) - share * Double(draws)) < 4.5 * deviation, "\(key)")
    }
  }

  @Test("Edges that no switch takes are empty, and only these")
  func unusedEdges() throws {
    var configuration = DARTSSpace.Configuration()
    (configuration.channels, configuration.cells, configuration.nodes) = (2, 3, 2)
    let net = DARTSSpace(
      image: ImageShape(channels: 1, height: 8, width: 8), classes: 2,
      configuration: configuration)
    let space = try SearchSpace(of: net, input: [1, 8, 8])
    var generator = SeededGenerator(seed: 4)
    for _ in 0..<20 {
      let choices = space.randomArchitecture(&generator)
      for choice in space.choices where choice.kind == .input {
        let taken = try #require(choices[choice.key]).active
        #expect(taken.count == 2)
        for (index, edge) in choice.candidateNames.enumerated() {
          #expect(choices[edge]?.active.count == (taken.contains(index) ? 1 : 0))
          let zero = DARTSNames.operations.firstIndex(of: "none")
          #expect(zero != nil && choices[edge]?.active != [zero ?? 0])
        }
      }
    }
    #expect(
      space.firstRandomArchitecture(seed: 3) == space.firstRandomArchitecture(seed: 3))
    #expect(
      space.firstRandomArchitecture(seed: 3) != space.firstRandomArchitecture(seed: 4))
  }

  @Test("A step trains the weights of one path; those of other candidates stay")
  func onePath() throws {
    let layers = (0..<3).map { _ in Linear(2, 2) }
    let choice = LayerChoice(layers)
    let model = Model(["c": choice]) { choice($0) }
    let context = try toyContext(model, try SearchSpace(of: model, input: [2]))
    let strategy = RandomSearch()
    try context.prepare(strategy)
    let batch = TensorBatch(
      images: try noise([4, 2]), labels: try Tensor([0, 1, 0, 1] as [Int32]))
    var trained: Set<Int> = []
    for number in 0..<12 {
      let before = try layers.map { try $0.weight.variable.scalars() as [Float] }
      _ = try step(random: RandomState(seed: 1, step: UInt32(number))) {
        try strategy.step(context, training: batch) { batch }
      }
      let changed = try layers.indices.filter {
        try layers[$0].weight.variable.scalars() != before[$0]
      }
      #expect(changed.count == 1)
      trained.formUnion(changed)
    }
    #expect(trained == [0, 1, 2])
  }

  @Test("The result is the best of as many architectures as may be evaluated")
  func bestOfN() throws {
    let net = ToyNet()
    let context = try toyContext(net, try SearchSpace(of: net, input: [1, 6, 6]), evaluations: 7)
    let strategy = RandomSearch()
    try context.prepare(strategy)
    #expect(
      try Architecture(strategy.architecture(), in: context.space.choices)
        == context.space.firstRandomArchitecture(seed: 5))
    var seen: [[String: ResolvedChoice]] = []
    // The third is the best, the fourth as good.
    let scores = [0.1, -3, 0.9, 0.9, 0.5, 0.2, 0]
    let evaluator = CandidateEvaluator(context.space) { choices in
      seen.append(choices)
      return scores[seen.count - 1]
    }
    let result = try strategy.finish(context, evaluate: evaluator)
    // Of seven draws some are the same, which cost nothing.
    var generator = SearchContext.generator(seed: 5)
    let draws = (0..<8).map { _ in context.space.randomArchitecture(&generator) }.dropFirst()
    let texts = draws.map { Architecture($0, in: context.space.choices).json.compactText }
    #expect(seen.count == Set(texts).count)
    #expect(seen.count >= 4)
    #expect(result == seen[2])
    #expect(try strategy.architecture() == seen[2])
  }
}
