import Testing

@testable import Espalier
@testable import EspalierTensor

@Suite("Chosen sizes", .seededWeights)
struct ElasticTests {
  private let image: Shape = [4, 1, 6, 6]

  private func net() -> ElasticNet { InitialWeights.with(seed: 2) { ElasticNet() } }

  private func someArchitectures(_ space: SearchSpace) -> [[String: ResolvedChoice]] {
    var generator = SeededGenerator(seed: 3)
    return (0..<8).map { _ in space.randomArchitecture(&generator) }
  }

  /// γ, β and running statistics that are not 1, 0, 0, 1.
  private func disturb(_ net: ElasticNet) throws {
    for (path, variable) in net.namedVariables() where path.contains("norm") {
      let values: [Float] = try variable.scalars()
      try variable.assign(values.indices.map { values[$0] + 0.1 * Float($0 % 5 + 1) })
    }
  }

  @Test("Keys are paths, one a decision, found through layers that share a choice")
  func keys() throws {
    let space = try SearchSpace(of: net(), input: [1, 6, 6])
    #expect(space.choices.map(\.key) == ["width", "kernel", "factor", "depth", "hidden"])
    #expect(space.choices.allSatisfy { $0.kind == .value && $0.chosenCount == nil })
    #expect(space.choices[3].candidateNames == ["1", "2", "3"])
    // A choice that stands nowhere else belongs to its layer.
    let conv = ElasticConv2d(1, .chosen(ValueChoice([2, 4])), kernelSize: 3)
    let own = try SearchSpace(of: Sequential(conv), input: [1, 6, 6])
    #expect(own.choices.map(\.key) == ["0.outputChannels"])
  }

  @Test(
    "A decided supernet gives output, gradients and statistics of the small network; the rest stays"
  )
  func equalsTheSmallNetwork() throws {
    let net = net()
    try disturb(net)
    let space = try SearchSpace(of: net, input: [1, 6, 6])
    let x = try noise(image)
    for choices in someArchitectures(space) {
      let small = try PlainNet(choices, of: net)
      let before = try net.namedVariables().map { try $0.variable.scalars() as [Float] }
      func pass(_ model: some Layer) throws -> (output: [Float], gradients: [String: [Float]]) {
        let named = model.namedParameters
        let results = try step { () -> [Tensor] in
          let (y, gradients) = try valueAndGradient(wrt: named.map(\.parameter.variable)) {
            let y = model(x)
            return [square(y).sum(), y]
          }
          return y
            + named.map { gradients[$0.parameter.variable] ?? $0.parameter.value.zerosLike() }
        }
        return (
          try results[1].scalars(),
          Dictionary(
            uniqueKeysWithValues: try zip(named, results.dropFirst(2)).map {
              ($0.path, try $1.scalars())
            })
        )
      }
      let found = try space.with(space.sampledDecisions(choices)) { try pass(net) }
      let expected = try pass(small)
      expectClose(found.output, expected.output)
      for (path, parameter) in net.namedParameters {
        let gradient = try #require(found.gradients[path])
        let zero = gradient.reduce(0) { $0 + abs($1) }
        if let plain = small.namedParameters.first(where: { $0.path == path })?.parameter.shape {
          let kept = part(of: gradient, parameter.shape, plain)
          expectClose(kept, try #require(expected.gradients[path]), relative: 1e-4, path)
          #expect(abs(zero - kept.reduce(0) { $0 + abs($1) }) <= 1e-5 * zero, "\(path)")
        } else {
          #expect(zero == 0, "\(path) is of a block that did not run")
        }
      }
      // Running statistics: moved as the small network's, or not at all.
      for (index, (path, variable)) in net.namedVariables().enumerated()
      where path.contains("running") {
        let after: [Float] = try variable.scalars()
        let plain = small.namedVariables().first { $0.path == path }?.variable
        let count = plain?.type.shape.count ?? 0
        expectClose(Array(after.prefix(count)), try plain?.scalars() ?? [], path)
        #expect(after.dropFirst(count) == before[index].dropFirst(count), "\(path)")
        #expect(count == 0 || after.prefix(count) != before[index].prefix(count))
      }
    }
  }

  @Test("Applying cuts the weights to the small network's, whose outputs stay the supernet's")
  func applied() throws {
    let space = try SearchSpace(of: net(), input: [1, 6, 6])
    let x = try noise(image)
    for choices in someArchitectures(space) {
      let (net, supernet) = (net(), net())
      for each in [net, supernet] { try disturb(each) }
      let spaceOfSupernet = try SearchSpace(of: supernet, input: [1, 6, 6])
      try net.apply(Architecture(choices, in: space.choices))
      let small = try PlainNet(choices, of: supernet)
      #expect(net.namedParameters.map(\.path) == small.namedParameters.map(\.path))
      #expect(net.namedParameters.map(\.parameter.shape) == small.parameters.map(\.shape))
      for mode in [Mode.evaluation, .supernetEvaluation] {
        let found = try Mode.with(mode) { try step { net(x) } }.scalars() as [Float]
        let expected =
          try Mode.with(mode) {
            try spaceOfSupernet.with(spaceOfSupernet.sampledDecisions(choices)) {
              try step { supernet(x) }
            }
          }.scalars() as [Float]
        expectClose(found, expected)
        expectClose(found, try Mode.with(mode) { try step { small(x) } }.scalars() as [Float])
      }
    }
  }

  @Test("Costs of an architecture are the small network's")
  func costs() throws {
    let net = net()
    let image = ImageShape(channels: 1, height: 6, width: 6)
    let costs = try ArchitectureCosts(of: net, image: image)
    for choices in someArchitectures(try SearchSpace(of: self.net(), input: [1, 6, 6])) {
      let small = ModelCost(of: try PlainNet(choices, of: net), image: image)
      #expect(try costs.exact(choices, .parameters) == Double(small.parameters))
      #expect(try costs.exact(choices, .multiplyAdds) == Double(small.multiplyAdds))
    }
    // A layer's costs are products of two choices.
    #expect(throws: SpaceError.self) { _ = try costs.expected([:], .parameters) }
  }

  @Test("A supernet's checkpoint loads into the pruned network, and the pruned one's own does")
  func checkpoints() throws {
    let supernet = net()
    try disturb(supernet)
    var checkpoint = Checkpoint()
    try checkpoint.add(supernet)
    let space = try SearchSpace(of: net(), input: [1, 6, 6])
    for choices in someArchitectures(space).prefix(3) {
      let pruned = InitialWeights.with(seed: 77) { ElasticNet() }
      try pruned.apply(Architecture(choices, in: space.choices))
      try checkpoint.restore(pruned)
      let small = try PlainNet(choices, of: supernet)
      func values(_ net: Module) throws -> [[Float]] {
        try net.namedVariables().map { try $0.variable.scalars() }
      }
      #expect(try values(pruned) == values(small))
      var own = Checkpoint()
      try own.add(pruned)
      let again = net()
      try again.apply(Architecture(choices, in: space.choices))
      try own.restore(again)
      #expect(try values(again) == values(small))
    }
    // A tensor of neither size is refused.
    let pruned = net()
    try pruned.apply(Architecture(someArchitectures(space)[0], in: space.choices))
    checkpoint.file.entries["head.weight"] = Safetensors.Entry([1, 2], shape: [2])
    #expect(throws: CheckpointMismatch.self) { try checkpoint.restore(pruned) }
  }

  @Test("Weights of sizes get the central difference of the loss, under every plan")
  func gradientOfWeights() throws {
    let net = net()
    let space = try SearchSpace(of: net, input: [1, 6, 6])
    let x = try noise(image)
    let start: [Float] = [0.5, 0.3, 0.2, 0.6, 0.4, 0.7, 0.3, 0.2, 0.5, 0.3]
    let weights = try Variable(start, shape: [start.count])
    func loss() -> Tensor {
      let vector = weights.tensor
      func mixed(_ count: Int, at offset: Int) -> Decision {
        Decision(.fixed, active: Array(0..<count), weights: vector, weightOffset: offset)
      }
      let decisions = [
        "width": mixed(3, at: 0), "kernel": mixed(2, at: 3), "hidden": mixed(2, at: 5),
        "depth": mixed(3, at: 7), "factor": Decision.fixed(0),
      ]
      return space.with(decisions) { square(net(x)).sum() }
    }
    for option in [Planning.full, .none, .reference] {
      let gradient = try Planning.$option.withValue(option) {
        try numbers(
          try step {
            try valueAndGradient(wrt: [weights]) { loss() }.gradients[weights].map { [$0] }
          }?
          .first)
      }
      #expect(gradient.allSatisfy { $0 != 0 })
      let scale = try #require(gradient.map { abs($0) }.max())
      for index in start.indices {
        func value(_ shift: Float) throws -> Double {
          var moved = start
          moved[index] += shift
          try weights.assign(moved)
          return try Planning.$option.withValue(.reference) { try step { loss() }.item() }
        }
        let difference = try (value(0.005) - value(-0.005)) / 0.01
        try weights.assign(start)
        #expect(
          abs(difference - Double(gradient[index])) < 2e-3 * Double(scale),
          "\(option) \(index): \(gradient[index]), \(difference)")
      }
    }
  }

  @Test("A soft architecture keeps all sizes and mixes them as the supernet did")
  func soft() throws {
    let (net, supernet) = (net(), net())
    let space = try SearchSpace(of: supernet, input: [1, 6, 6])
    let soft: Architecture = [
      "width": .weights([0.5, 0.25, 0.25]), "kernel": .name("5"), "factor": .name("2.0"),
      "depth": .weights([0.75, 0.25, 0]), "hidden": .name("7"),
    ]
    let x = try noise(image)
    var decisions = space.sampledDecisions(try soft.resolved(against: space.choices))
    decisions["width"] = Decision(
      .fixed, active: [0, 1, 2], weights: try Tensor([0.5, 0.25, 0.25] as [Float]))
    decisions["depth"] = Decision(
      .fixed, active: [0, 1], weights: try Tensor([0.75, 0.25] as [Float]))
    let expected = try space.with(decisions) { try step { supernet(x) } }.scalars() as [Float]
    try net.apply(soft)
    expectClose(try step { net(x) }.scalars() as [Float], expected)
    #expect(net.depth.blocks.count == 2)
    #expect(net.stem.weight.shape == [6, 1, 5, 5])
  }

  @Test(
    "100 random steps over widths, kernels, depths and a number plan nothing after the rehearsal")
  func steadyState() async {
    await #expect(processExitsWith: .success) {
      try InitialWeights.with(seed: 1) {
        try RehearsalTests.expectSteadyState(
          ElasticNet(), image: ImageShape(channels: 1, height: 6, width: 6), classes: 3,
          steps: 100, launches: 1000)
      }
    }
  }

  @Test("A number that is read is refused by name where candidates are mixed")
  func readOnHost() throws {
    let refused = #expect(throws: SpaceError.self) {
      _ = try SearchTrainer(
        net(), strategy: DARTS(), data: try toyData(), epochs: 1, options: toyOptions()
      ).train()
    }
    #expect(refused == .readOnHost(key: "factor"))
    #expect("\(try #require(refused))".contains("factor"))
    let random = try SearchTrainer(
      net(), strategy: RandomSearch(), data: try toyData(), epochs: 1, options: toyOptions()
    ).train()
    #expect(
      random.architecture["factor"] == .name("0.5") || random.architecture["factor"] == .name("2.0")
    )
  }

  @Test(
    "Strategies search widths, kernels and depths, and plan nothing behind their rehearsal",
    arguments: ["darts", "fbnet", "gdas", "enas", "path-dropout", "random", "spos"])
  func strategies(name: String) throws {
    let net = InitialWeights.with(seed: 2) { () -> Model in
      let (width, kernel) = (ValueChoice([2, 4]), ValueChoice([3, 5]))
      let conv = ElasticConv2d(1, .chosen(width), kernelSize: .chosen(kernel))
      let norm = ElasticBatchNorm2d(.chosen(width))
      let depth = Repeat([0, 1, 2]) { _ in
        ElasticConv2d(.chosen(width), .chosen(width), kernelSize: .chosen(kernel))
      }
      let head = ElasticLinear(.chosen(width), 3)
      return Model([
        "width": width, "kernel": kernel, "conv": conv, "norm": norm, "depth": depth, "head": head,
      ]) { head(globalAveragePool2d(relu(depth(relu(norm(conv($0)))))).flattened()) }
    }
    let definition = try #require(StrategyDefinition.named(name))
    let known = Set(definition.parameters.map(\.name))
    // Costs of widths are products, which no expected cost is.
    let strategy = try definition.make(
      SettingValues(known.contains("cost") ? ["cost": "none"] : [:]))
    let trainer = SearchTrainer(
      net, strategy: strategy, data: try toyData(), epochs: 2, options: toyOptions())
    var planned = 0
    trainer.callbacks.planning = { _, _ in planned = EngineStatistics.threadCounters.planMisses }
    let result = try trainer.train()
    #expect(EngineStatistics.threadCounters.planMisses == planned)
    let space = net.namedModules.compactMap { path, module in
      (module as? any Mutable)?.description(key: path)
    }
    #expect(try result.architecture.resolved(against: space).count == 3)
    #expect(Set(try strategy.probabilities().keys) == ["width", "kernel", "depth"])
  }
}
