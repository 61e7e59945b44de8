import Foundation
import Testing

@testable import Espalier

/// Two layer choices of two candidates with curvature, an any-number and a one-of-two input choice.
private final class SmoothNet: Module, Layer {
  let first = LayerChoice(["linear": Linear(3, 4), "tanh": Sequential(Linear(3, 4), Tanh())])
  let second = LayerChoice(["half": Scale(0.5), "linear": Linear(4, 4)])
  let gates = InputChoice(candidateCount: 2)
  let one = InputChoice(candidateCount: 2, chosenCount: 1)
  let head = Linear(4, 3)

  func callAsFunction(_ x: Tensor) -> Tensor {
    let a = first(x)
    let b = second(tanh(a))
    let c = one([a, b]) ?? a
    return head(tanh(c + (gates([a, b]) ?? a)))
  }
}

/// Edges to one node with a switch over their keys.
private final class Node: Module, Layer {
  let edges: [LayerChoice]
  let join: InputChoice

  init(edges count: Int, chosen: Int?, withZero: Bool = true) {
    edges = (0..<count).map { number in
      let candidates: [(name: String, layer: any Layer)] =
        (withZero ? [("zero", Zero(stride: 1))] : []) + [("a", Scale(1)), ("b", Scale(2))]
      return LayerChoice(
        named: candidates, key: "e\(number)", synonyms: [:], integerNames: candidates.map(\.name))
    }
    join = InputChoice(chooseFrom: edges.compactMap(\.explicitKey), chosenCount: chosen)
  }
  func callAsFunction(_ x: Tensor) -> Tensor { join(edges.map { $0(x) }) ?? x }
}

@Suite("DARTS", .seededWeights)
struct DARTSTests {
  /// A strategy and its space.
  private struct Prepared {
    let strategy: DARTS
    let space: SearchSpace
    func architecture() throws -> [String: ResolvedChoice] { try strategy.architecture() }
  }

  /// A prepared strategy whose α are as given, by table.
  private func prepared(
    _ model: some Layer, input: Shape, _ alpha: [String: [Float]]
  ) throws -> Prepared {
    let space = try SearchSpace(of: model, input: input)
    let strategy = DARTS()
    let context = try toyContext(model, space)
    try context.prepare(strategy)
    #expect(Set(strategy.variables.map(\.name)) == Set(alpha.keys))
    for (name, variable) in strategy.variables { try variable.assign(alpha[name] ?? []) }
    return Prepared(strategy: strategy, space: space)
  }

  @Test("α starts small and normal, and moves towards the better of two candidates")
  func movesTowardsTheBetter() throws {
    let choice = LayerChoice(["blind": Scale(0), "sees": Scale(1)])
    let head = Linear(2, 2)
    let model = Model(["choice": choice, "head": head]) { head(choice($0)) }
    let space = try SearchSpace(of: model, input: [2])
    let context = try toyContext(model, space, learningRate: 0.2)
    let strategy = DARTS(learningRate: 0.05)
    try context.prepare(strategy)
    let start = try #require(strategy.probabilities()["choice"])
    #expect(start.allSatisfy { abs($0 - 0.5) < 0.01 })
    for number in 0..<25 {
      func batch(_ seed: UInt64) throws -> TensorBatch {
        let x = try noise([16, 2], seed: seed)
        let values: [Float] = try x.scalars()
        return TensorBatch(
          images: x, labels: try Tensor((0..<16).map { Int32(values[2 * $0] > 0 ? 1 : 0) }))
      }
      _ = try step {
        try strategy.step(context, training: try batch(UInt64(2 * number))) {
          try batch(UInt64(2 * number + 1))
        }
      }
    }
    let end = try #require(strategy.probabilities()["choice"])
    #expect(end[1] > 0.7)
    #expect(abs(end[0] + end[1] - 1) < 1e-6)
    #expect(try strategy.architecture()["choice"]?.active == [1])
  }

  @Test("The first-order gradient of α is the central difference of the validation loss")
  func gradient() throws {
    let model = InitialWeights.with(seed: 4) { SmoothNet() }
    let space = try SearchSpace(of: model, input: [3])
    // Weights stand still, and the first mean of Adam is (1 − β₁) times the gradient.
    let context = try toyContext(model, space, learningRate: 0)
    let strategy = DARTS(betas: (0.5, 0.999), weightDecay: 0, initialDeviation: 0.5)
    try context.prepare(strategy)
    let before = try strategy.variables.map { try $0.variable.scalars() as [Float] }
    func batch(_ seed: UInt64) throws -> TensorBatch {
      TensorBatch(
        images: try noise([6, 3], seed: seed), labels: try Tensor([0, 1, 2, 0, 1, 2] as [Int32]))
    }
    let validation = try batch(1)
    _ = try step { try strategy.step(context, training: try batch(2)) { validation } }
    let means = try #require(strategy.optimizers.first).optimizer.state.tensors
    let mean = try #require(means.first { $0.name == "exp_avg" }).variables
    // The validation loss with α as host numbers.
    func loss(_ alpha: [[Float]]) throws -> Double {
      for (variable, values) in zip(strategy.variables, alpha) {
        try variable.variable.assign(values)
      }
      let decisions = try strategy.probabilities().mapValues { p in
        Decision(
          .fixed, active: Array(p.indices), weights: try Tensor(p.map { Float($0) }))
      }
      return try step { context.evaluate(decisions, validation) }.loss.item()
    }
    #expect(strategy.variables.count == 2)
    for (table, values) in before.enumerated() {
      let gradient = try mean[table].scalars().map { (x: Float) in Double(x) / 0.5 }
      let scale = try #require(gradient.map { abs($0) }.max())
      #expect(scale > 1e-3)
      for index in values.indices {
        var (up, down) = (before, before)
        up[table][index] += 0.02
        down[table][index] -= 0.02
        let difference = try (loss(up) - loss(down)) / 0.04
        #expect(
          abs(difference - gradient[index]) < 2e-3 * scale,
          "\(strategy.variables[table].name)[\(index)]: \(gradient[index]), \(difference)")
      }
    }
  }

  @Test("A step trains α on the validation batch only and the weights on the training batch only")
  func bilevel() throws {
    // Each batch alone would change what the other may not.
    func run(_ training: UInt64, _ validation: UInt64) throws -> (alpha: [Float], weights: [Float])
    {
      let model = InitialWeights.with(seed: 4) { SmoothNet() }
      let context = try toyContext(model, try SearchSpace(of: model, input: [3]))
      let strategy = DARTS(learningRate: 0)
      try context.prepare(strategy)
      func batch(_ seed: UInt64) throws -> TensorBatch {
        TensorBatch(images: try noise([2, 3], seed: seed), labels: try Tensor([0, 1] as [Int32]))
      }
      _ = try step {
        try strategy.step(context, training: batch(training)) { try batch(validation) }
      }
      let tensors = try #require(strategy.optimizers.first).optimizer.state.tensors
      return (
        try tensors[0].variables.flatMap { try $0.scalars() as [Float] },
        try model.parameters.flatMap { try $0.variable.scalars() as [Float] }
      )
    }
    let base = try run(1, 2)
    let otherTraining = try run(3, 2)
    let otherValidation = try run(1, 3)
    #expect(otherTraining.alpha == base.alpha && otherTraining.weights != base.weights)
    #expect(otherValidation.alpha != base.alpha && otherValidation.weights == base.weights)
  }

  @Test("A node keeps the two edges whose best candidate is most probable; the others are empty")
  func topTwo() throws {
    let search = try prepared(
      Node(edges: 4, chosen: 2), input: [1],
      ["alpha.choice3": [0, 1, 2, 0, 0, 0.1, 0, 3, 0, 0, 0.5, 0.9]])
    let result = try search.architecture()
    #expect(result["join"]?.active == [0, 2])
    #expect((0..<4).map { result["e\($0)"]?.active } == [[2], [], [1], []])
    // The log tells how probable each edge is: as its best candidate.
    let edges = try #require(search.strategy.probabilities()["join"])
    let expected = [(0.0, 1.0, 2.0), (0, 0, 0.1), (0, 3, 0), (0, 0.5, 0.9)].map { a in
      exp(max(a.1, a.2)) / (exp(a.0) + exp(a.1) + exp(a.2))
    }
    #expect(zip(edges, expected).allSatisfy { abs($0 - $1) < 1e-6 } && edges.count == 4)
    let architecture = Architecture(result, in: search.space.choices)
    #expect(
      architecture == [
        "e0": .name("b"), "e1": .none, "e2": .name("a"), "e3": .none,
        "join": .names(["e0", "e2"]),
      ])
  }

  @Test("What is exactly zero never wins, however probable, but weakens its edge")
  func zeroNeverWins() throws {
    // Edge 0 prefers zero by far; its best candidate has little probability left.
    let search = try prepared(
      Node(edges: 3, chosen: 2), input: [1], ["alpha.choice3": [9, 0, 5, 0, 1, 0, 0, 0, 1]])
    let result = try search.architecture()
    #expect(result["join"]?.active == [1, 2])
    #expect((0..<3).map { result["e\($0)"]?.active } == [[], [1], [2]])
    let all = try prepared(
      Node(edges: 2, chosen: 2), input: [1], ["alpha.choice3": [9, 0, 5, 9, 1, 0]])
    let both = try all.architecture()
    #expect([both["e0"]?.active, both["e1"]?.active] == [[2], [1]])
  }

  @Test("Ties go to the lowest index, of candidates and of edges")
  func ties() throws {
    let search = try prepared(
      Node(edges: 4, chosen: 2), input: [1],
      ["alpha.choice3": [Float](repeating: 0.5, count: 12)])
    let result = try search.architecture()
    #expect(result["join"]?.active == [0, 1])
    #expect((0..<4).map { result["e\($0)"]?.active } == [[1], [1], [], []])
  }

  @Test("An any-number choice has a sigmoid gate an input, kept above one half")
  func gates() throws {
    let choice = InputChoice(candidateCount: 4)
    let model = Model(["skip": choice]) { x in choice([x, x, x, x]) ?? x }
    let search = try prepared(model, input: [1], ["alpha.gate4": [2, -1, 0, 0.1]])
    let openings = try #require(search.strategy.probabilities()["skip"])
    #expect(zip(openings, [0.880797, 0.268941, 0.5, 0.524979]).allSatisfy { abs($0 - $1) < 1e-5 })
    #expect(try search.architecture()["skip"]?.active == [0, 3])
    let none = try prepared(
      Model(["skip": choice]) { x in choice([x, x, x, x]) ?? x }, input: [1],
      ["alpha.gate4": [-1, -1, -1, -1]])
    #expect(try none.architecture()["skip"]?.active == [])
  }

  @Test("An any-number choice over layer choices has gates too, and empties what it leaves out")
  func gatedEdges() throws {
    let search = try prepared(
      Node(edges: 3, chosen: nil, withZero: false), input: [1],
      ["alpha.choice2": [0, 1, 1, 0, 0, 0], "alpha.gate3": [1, -1, 2]])
    let result = try search.architecture()
    #expect(result["join"]?.active == [0, 2])
    #expect((0..<3).map { result["e\($0)"]?.active } == [[1], [], [0]])
  }

  @Test("A choice of so many unnamed inputs is mixed by a softmax of its own")
  func softmaxInputs() throws {
    let choice = InputChoice(candidateCount: 3, chosenCount: 2)
    let model = Model(["in": choice]) { x in choice([x, x, x]) ?? x }
    let search = try prepared(model, input: [1], ["alpha.choice3": [0, 2, 1]])
    #expect(abs(try #require(search.strategy.probabilities()["in"]).reduce(0, +) - 1) < 1e-6)
    #expect(try search.architecture()["in"]?.active == [1, 2])
  }

  @Test("Inputs over layer choices are all connected while searching")
  func connected() throws {
    let node = Node(edges: 2, chosen: 1, withZero: false)
    let search = try prepared(node, input: [1], ["alpha.choice2": [0, 0, 0, 0]])
    let context = try toyContext(
      node, search.space,
      objective: Objective(
        loss: { output, _ in output.sum() }, metrics: { _, _ in [:] }, selectionMetric: "",
        isLargerBetter: false))
    let batch = TensorBatch(images: try Tensor([1] as [Float], shape: [1, 1]), labels: nil)
    // (1 + 2) / 2 from each of two edges.
    let result = try step { try search.strategy.step(context, training: batch) { batch } }
    #expect(abs(try result.loss.item() - 3) < 1e-3)
  }
}
