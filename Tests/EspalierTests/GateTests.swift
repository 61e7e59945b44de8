import Foundation
import Testing

@testable import Espalier

/// What `Golden/gates.json` holds.
private struct GateGolden: Decodable {
  struct End: Decodable {
    var alpha: [[Float]]
    var weights: [String: [Float]]
  }
  var start: [String: [Float]]
  var alpha: [Float]
  var x: [[Float]]
  var y: [[Int32]]
  var paths: [[Int]]
  var pairs: [[[Int]]]
  var actives: [[Int]]
  var noise: [[Float]]
  var full: End
  var two: End
  var fbnet: End

  init() throws {
    let path = "\(#filePath)".replacing("GateTests.swift", with: "Golden/gates.json")
    self = try JSONDecoder().decode(
      GateGolden.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
  }

  func batch(_ number: Int) throws -> TensorBatch {
    TensorBatch(images: try Tensor(x[number], shape: [5, 3]), labels: try Tensor(y[number]))
  }
}

/// The net of `Golden/gates.py`.
private final class GateNet: Module, Layer {
  let a = Linear(3, 4)
  let b = Linear(3, 4)
  let c = Linear(3, 4)
  let linear = Linear(4, 4)
  let c1: LayerChoice
  let c2: LayerChoice
  let head = Linear(4, 3)

  override init() {
    c1 = LayerChoice(["a": a, "b": Sequential(b, Tanh()), "c": c], key: "c1")
    c2 = LayerChoice(["half": Scale(0.5), "linear": linear, "zero": Zero(stride: 1)], key: "c2")
    super.init()
  }
  func callAsFunction(_ x: Tensor) -> Tensor { head(tanh(c2(tanh(c1(x))))) }

  /// The layers under the golden's names.
  var layers: [String: Linear] {
    ["c1.a": a, "c1.b": b, "c1.c": c, "c2.linear": linear, "head": head]
  }
  func load(_ golden: GateGolden) throws {
    for (name, layer) in layers {
      try layer.weight.variable.assign(golden.start["\(name).weight"] ?? [])
      try layer.bias?.variable.assign(golden.start["\(name).bias"] ?? [])
    }
  }
  func expect(_ end: GateGolden.End) throws {
    for (name, layer) in layers {
      let weight: [Float] = try layer.weight.variable.scalars()
      expectClose(weight, end.weights["\(name).weight"] ?? [], relative: 2e-5, name)
      let bias: [Float] = try #require(layer.bias).variable.scalars()
      expectClose(bias, end.weights["\(name).bias"] ?? [], relative: 2e-5, "\(name) bias")
    }
  }
}

@Suite("Gates on candidates: ProxylessNAS and FBNet", .seededWeights)
struct GateTests {
  private struct Prepared {
    let golden: GateGolden
    let net = GateNet()
    let search: SearchContext

    init(_ strategy: any SearchStrategy) throws {
      golden = try GateGolden()
      search = try toyContext(net, try SearchSpace(of: net, input: [3]), learningRate: 0.1)
      try search.prepare(strategy)
      try net.load(golden)
      #expect(strategy.variables.map(\.name) == ["alpha.choice3"])
      try strategy.variables[0].variable.assign(golden.alpha)
    }
    func alpha(_ strategy: any SearchStrategy) throws -> [Float] {
      try strategy.variables[0].variable.scalars()
    }
  }

  private func settings(_ mode: ProxylessNAS.GradientMode) -> ProxylessNAS.Settings {
    var settings = ProxylessNAS.Settings()
    (settings.mode, settings.learningRate) = (mode, 0.05)
    return settings
  }

  @Test("full-v2: ten updates of α by all gates' gradients are PyTorch's")
  func fullV2() throws {
    let strategy = ProxylessNAS(settings(.fullV2))
    let prepared = try Prepared(strategy)
    let golden = prepared.golden
    for number in 0..<10 {
      func path(_ index: Int) -> [String: Int] {
        ["c1": golden.paths[index][0], "c2": golden.paths[index][1]]
      }
      _ = try step { () -> StepResult in
        let result = try prepared.search.trainWeights(
          path(2 * number).mapValues { Decision.sampled($0) }, try golden.batch(2 * number))
        try strategy.updateAll(
          prepared.search, try golden.batch(2 * number + 1), along: path(2 * number + 1))
        return result
      }
      expectClose(try prepared.alpha(strategy), golden.full.alpha[number], "step \(number)")
    }
    try prepared.net.expect(golden.full)
  }

  @Test("two: only a pair's α move, by PyTorch's updates, and its summed weight stays")
  func two() throws {
    let strategy = ProxylessNAS(settings(.two))
    let prepared = try Prepared(strategy)
    let golden = prepared.golden
    for number in 0..<10 {
      let path = golden.paths[2 * number]
      let (pair, active) = (golden.pairs[number], golden.actives[number])
      _ = try step { () -> StepResult in
        let result = try prepared.search.trainWeights(
          ["c1": .sampled(path[0]), "c2": .sampled(path[1])], try golden.batch(2 * number))
        try strategy.updateTwo(
          prepared.search, try golden.batch(2 * number + 1),
          among: ["c1": (pair[0], active[0]), "c2": (pair[1], active[1])])
        return result
      }
      expectClose(try prepared.alpha(strategy), golden.two.alpha[number], "step \(number)")
    }
    try prepared.net.expect(golden.two)
  }

  @Test("FBNet: ten steps of α and weights under given noise are PyTorch's")
  func fbnet() throws {
    var settings = FBNet.Settings()
    (settings.learningRate, settings.warmUp) = (0.05, 0)
    let strategy = FBNet(settings)
    let prepared = try Prepared(strategy)
    let golden = prepared.golden
    prepared.search.position = TrainingPosition(stepCount: 10, epochCount: 1)
    var draws = golden.noise[...]
    for number in 0..<10 {
      let noise = try draws.prefix(2).map { try Tensor($0, shape: [2, 3]) }
      draws = draws.dropFirst(2)
      var used = noise[...]
      strategy.noise = { _ in used.removeFirst() }
      prepared.search.position.step = number
      _ = try step {
        try strategy.step(prepared.search, training: try golden.batch(2 * number)) {
          try golden.batch(2 * number + 1)
        }
      }
      #expect(used.isEmpty, "one draw a pass")
      expectClose(try prepared.alpha(strategy), golden.fbnet.alpha[number], "step \(number)")
    }
    try prepared.net.expect(golden.fbnet)
  }

  @Test("full-v2 computes nothing but the active candidate in the forward pass")
  func onePath() throws {
    let layers = (0..<3).map { Scale(Float($0 + 1)) }
    let choice = LayerChoice(layers, key: "c")
    let space = try SearchSpace(of: choice, input: [2])
    for layer in layers { layer.calls = 0 }
    let gates = try Variable([1, 1, 1] as [Float], shape: [3])
    let x = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    let (loss, gradients) = try step { () -> TensorPair in
      let (loss, gradients) = try valueAndGradient(wrt: [gates]) {
        space.with([
          "c": Decision(.sampled, active: [1], weights: gates.tensor, mixture: BinaryGates())
        ]) { square(choice(x)).sum() }
      }
      return TensorPair(loss, try #require(gradients[gates]))
    }.both
    // Σ (2x)², and dL/dout = 4x towards x, 2x and 3x.
    #expect(try loss.item() == 120)
    #expect(try numbers(gradients) == [120, 240, 360])
  }

  @Test("REINFORCE moves α towards the path of higher score")
  func reinforce() throws {
    let choice = LayerChoice(["blind": Scale(0), "sees": Scale(1), "dark": Scale(0)], key: "c")
    let head = InitialWeights.with(seed: 1) { Linear(2, 2) }
    let model = Model(["c": choice, "head": head]) { head(choice($0)) }
    let search = try toyContext(model, try SearchSpace(of: model, input: [2]), learningRate: 0.3)
    var settings = settings(.reinforce)
    (settings.interval, settings.warmUp, settings.learningRate) = (1, 0, 0.1)
    let strategy = ProxylessNAS(settings)
    try search.prepare(strategy)
    for number in 0..<25 {
      func batch(_ seed: UInt64) throws -> TensorBatch {
        let x = try noise([16, 2], seed: seed)
        let values: [Float] = try x.scalars()
        return TensorBatch(
          images: x, labels: try Tensor((0..<16).map { Int32(values[2 * $0] > 0 ? 1 : 0) }))
      }
      _ = try step {
        try strategy.step(search, training: try batch(UInt64(2 * number))) {
          try batch(UInt64(2 * number + 1))
        }
      }
    }
    let p = try #require(strategy.probabilities()["c"])
    #expect(p[1] > 0.6, "\(p)")
  }

  @Test("Every way of learning α is planned ahead", arguments: ProxylessNAS.GradientMode.allCases)
  func plannedAhead(mode: ProxylessNAS.GradientMode) throws {
    var settings = settings(mode)
    (settings.interval, settings.samples) = (2, 3)
    let misses = try planMisses(ProxylessNAS(settings))
    #expect(misses.count > 4 && misses.allSatisfy { $0 == 0 }, "\(misses)")
  }

  @Test("An input choice is refused by name")
  func inputChoice() throws {
    let net = ToyNet()
    let search = try toyContext(net, try SearchSpace(of: net, input: [1, 6, 6]))
    let error = #expect(throws: SpaceError.self) { try search.prepare(ProxylessNAS()) }
    #expect("\(try #require(error))".contains("proxyless cannot decide skip"))
  }

  @Test("The temperature falls from 5 by e^-0.045 ninety times")
  func temperature() {
    #expect(FBNet().temperature(at: 0) == 5)
    #expect(abs(FBNet().temperature(at: 1 / 90) - 5 * 0.955997) < 1e-4)
    #expect(abs(FBNet().temperature(at: 1) - 0.0871) < 1e-3)
  }
}

/// Two tensors that leave a step.
private struct TensorPair: TensorPack {
  let both: (Tensor, Tensor)
  init(_ a: Tensor, _ b: Tensor) { both = (a, b) }
  var tensors: [Tensor] { [both.0, both.1] }
}
