import Foundation
import Testing

@testable import Espalier

/// What `Golden/NAME.json` holds.
private struct ENASGolden: Decodable {
  var start: [String: [Float]]
  var actions: [Float]
  var advantages: [Float]
  var negative_log_likelihood: [Float]
  var entropy: [Float]
  var skip_penalty: [Float]
  var losses: [Float]
  var end: [String: [Float]]

  init() throws {
    let path = "\(#filePath)".replacing("ENASTests.swift", with: "Golden/enas.json")
    self = try JSONDecoder().decode(
      ENASGolden.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
  }
}

/// Two layer choices, an input choice of any number and one of two out of three.
private func goldenNet() -> Model {
  let l0 = LayerChoice(["a": Scale(1), "b": Scale(2), "c": Scale(3)], key: "L0")
  let l1 = LayerChoice(["a": Scale(1), "b": Scale(2)], key: "L1")
  let i0 = InputChoice(chooseFrom: ["L0", InputChoice.noKey], key: "I0")
  let i1 = InputChoice(chooseFrom: ["L0", "L1", InputChoice.noKey], chosenCount: 2, key: "I1")
  return Model(["l0": l0, "l1": l1, "i0": i0, "i1": i1]) { x in
    let (a, b) = (l0(x), l1(x))
    return (i0([a, x]) ?? x) + (i1([a, b, x]) ?? x)
  }
}

@Suite("ENAS", .seededWeights)
struct ENASTests {
  private func goldenController(_ golden: ENASGolden) throws -> ENASController {
    var settings = ENASController.Settings()
    (settings.hidden, settings.temperature) = (4, 1.25)
    var generator = SeededGenerator(seed: 1)
    let controller = ENASController(
      try SearchSpace(of: goldenNet(), input: [1]), settings, &generator)
    #expect(Set(controller.parameters.map(\.name)) == Set(golden.start.keys))
    for (name, parameter) in controller.parameters {
      try parameter.variable.assign(golden.start[name] ?? [])
    }
    return controller
  }

  @Test("Likelihood, entropy and skip penalty of given architectures are PyTorch's")
  func likelihood() throws {
    let golden = try ENASGolden()
    let controller = try goldenController(golden)
    #expect(controller.width == 13)
    let actions = try Tensor(golden.actions, shape: [4, 13])
    let found = try step { () -> [Tensor] in
      let pass = controller(4, .actions(actions))
      return [pass.negativeLogLikelihood, pass.entropy, pass.skipPenalty, pass.actions]
    }
    expectClose(try numbers(found[0]), golden.negative_log_likelihood, "likelihood")
    expectClose(try numbers(found[1]), golden.entropy, "entropy")
    expectClose(try numbers(found[2]), golden.skip_penalty, "penalty")
    #expect(try numbers(found[3]) == golden.actions)
  }

  @Test("Ten updates by Adam under the clip give PyTorch's losses and weights")
  func updates() throws {
    let golden = try ENASGolden()
    let controller = try goldenController(golden)
    let optimizer = try Adam(
      controller.parameters.map(\.parameter), learningRate: 0.01, clipNorm: 0.5)
    var losses: [Float] = []
    for _ in 0..<10 {
      let loss = try step { () -> Tensor in
        try ENAS.update(
          controller, optimizer, actions: golden.actions, advantages: golden.advantages,
          skipWeight: 0.8)
      }
      losses.append(Float(try loss.item()))
    }
    expectClose(losses, golden.losses, "losses")
    for (name, parameter) in controller.parameters {
      let values: [Float] = try parameter.variable.scalars()
      expectClose(values, golden.end[name] ?? [], relative: 2e-5, name)
    }
  }

  @Test("Samples are distributed as their likelihood says, and a likelihood is one of the space")
  func sampling() throws {
    let golden = try ENASGolden()
    let controller = try goldenController(golden)
    var generator = SeededGenerator(seed: 3)
    let rows = 4000
    let noise = try Tensor(controller.noise(rows, &generator), shape: [rows, 13])
    let found = try step { () -> [Tensor] in
      let pass = controller(rows, .noise(noise))
      return [pass.actions, pass.negativeLogLikelihood]
    }
    let (actions, likelihoods) = (try numbers(found[0]), try numbers(found[1]))
    var counts: [[Float]: (count: Int, p: Double)] = [:]
    for row in 0..<rows {
      let action = Array(actions[row * 13..<(row + 1) * 13])
      let (first, second) = (action[7..<10], action[10..<13])
      #expect(action[0..<3].reduce(0, +) == 1 && action[3..<5].reduce(0, +) == 1)
      #expect(first.reduce(0, +) == 1 && second.reduce(0, +) == 1)
      #expect(zip(first, second).allSatisfy { $0 * $1 == 0 }, "drawn twice")
      counts[action, default: (0, exp(-Double(likelihoods[row])))].count += 1
    }
    // 3 · 2 · 4 · 6 architectures; a chi-square over those seen often enough.
    #expect(counts.count <= 144)
    let common = counts.values.filter { $0.p * Double(rows) > 5 }
    let chi = common.reduce(0.0) { sum, cell in
      let expected = cell.p * Double(rows)
      return sum + (Double(cell.count) - expected) * (Double(cell.count) - expected) / expected
    }
    let freedom = Double(common.count)
    #expect(common.count > 30 && chi < freedom + 4 * (2 * freedom).squareRoot(), "\(chi)")
    #expect(counts.values.reduce(0) { $0 + $1.p } <= 1 + 1e-3)
  }

  @Test("A scope that an input choice names is anchored where it ends")
  func scopes() throws {
    final class Node: MutableScope {
      let op: LayerChoice
      init(_ key: String) {
        op = LayerChoice(["a": Scale(1), "b": Scale(2)], key: "\(key)_op")
        super.init(key: key)
      }
    }
    let (n0, n1) = (Node("n0"), Node("n1"))
    let join = InputChoice(chooseFrom: ["n0", "n1"], chosenCount: 1, key: "join")
    let model = Model(["n0": n0, "n1": n1, "join": join]) { x in
      join([n0.op(x), n1.op(x)]) ?? x
    }
    let events = ENASController.events(of: try SearchSpace(of: model, input: [1]))
    let names = events.map { event in
      switch event {
      case .choose(let choice): choice.key
      case .leave(let key): "end of \(key)"
      }
    }
    #expect(names == ["n0_op", "end of n0", "n1_op", "end of n1", "join"])
  }

  @Test("The controller learns the choice with the higher reward")
  func learns() throws {
    let choice = LayerChoice(["blind": Scale(0), "sees": Scale(1), "half": Scale(0)], key: "c")
    let head = InitialWeights.with(seed: 1) { Linear(2, 2) }
    let model = Model(["c": choice, "head": head]) { head(choice($0)) }
    let context = try toyContext(
      model, try SearchSpace(of: model, input: [2]), learningRate: 0.3)
    var settings = ENAS.Settings()
    (settings.learningRate, settings.interval) = (0.05, 1)
    let strategy = ENAS(settings)
    try context.prepare(strategy)
    for number in 0..<30 {
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
    let p = try #require(strategy.probabilities()["c"])
    #expect(p[1] > 0.6, "\(p)")
    #expect(try strategy.architecture()["c"]?.active == [1])
  }

  @Test("The result is the best of the evaluated samples, not another sample")
  func exportsTheBest() throws {
    let net = ToyNet()
    let context = try toyContext(net, try SearchSpace(of: net, input: [1, 6, 6]), evaluations: 12)
    let strategy = ENAS()
    try context.prepare(strategy)
    var scores: [([String: ResolvedChoice], Double)] = []
    let evaluator = CandidateEvaluator(context.space) { choices in
      let score = Double((scores.count * 7) % 5)
      scores.append((choices, score))
      return score
    }
    let result = try strategy.finish(context, evaluate: evaluator)
    let best = try #require(scores.map(\.1).max())
    #expect(scores.count > 3)
    #expect(result == scores.first { $0.1 == best }?.0)
  }
}
