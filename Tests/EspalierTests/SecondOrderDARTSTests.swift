import Testing

@testable import Espalier

@Suite("Second-order DARTS", .seededWeights)
struct SecondOrderDARTSTests {
  @Test("The unrolled gradient is the central difference of the bilevel objective in float64")
  func bilevel() throws {
    let golden = try DifferentiableGolden()
    let context = try golden.context(try golden.net(), input: [3], learningRate: 0.5)
    let strategy = SecondOrderDARTS()
    try strategy.prepare(context)
    try assign(golden.alpha, to: strategy)
    // Momentum first.
    for number in 0..<3 {
      _ = try step { try strategy.prepared.trainWeights(context, golden.batch(number % 2)) }
    }
    let found = try step {
      try strategy.unrolledGradient(context, try golden.batch(0), try golden.batch(2))
    }
    for (table, gradient) in zip(strategy.prepared.alpha.named, found) {
      let name = String(table.name.dropFirst(6))
      let exact = try #require(golden.exact.unrolled[name])
      expectClose(try numbers(gradient), exact, relative: 1e-3, name)
      // The first order alone is far from it.
      let first = try #require(golden.exact.first_order[name])
      let largest = exact.reduce(0) { max($0, abs($1)) }
      #expect(zip(exact, first).contains { abs($0 - $1) > 0.1 * largest }, "\(name)")
    }
  }

  /// A net with batch norm and dropout.
  private func context(learningRate: Float = 0.05) throws -> (SearchContext, Model) {
    let choice = LayerChoice(["one": Linear(4, 4), "skip": Identity()], key: "choice")
    let (conv, norm) = (Conv2d(1, 4, kernelSize: 3, padding: 1), BatchNorm2d(4))
    let (dropout, head) = (Dropout(0.5), Linear(4, 3))
    let net = Model(
      ["conv": conv, "norm": norm, "choice": choice, "dropout": dropout, "head": head]
    ) {
      head(dropout(choice(globalAveragePool2d(relu(norm(conv($0)))).flattened())))
    }
    let space = try SearchSpace(of: net, input: [1, 6, 6])
    return (try toyContext(net, space, learningRate: learningRate), net)
  }

  private func batch(_ start: Int) throws -> TensorBatch {
    try TensorBatch(Batch(of: toyImages(48), at: Array(start..<start + 8)))
  }

  @Test("The virtual step leaves weights, running statistics and momentum as they were, to the bit")
  func restores() throws {
    let (context, net) = try context()
    let strategy = SecondOrderDARTS()
    try strategy.prepare(context)
    _ = try step { try strategy.prepared.trainWeights(context, try batch(0)) }
    func contents() throws -> [[UInt32]] {
      let states = try context.optimizer.state.tensors.flatMap(\.variables)
      return try (net.namedVariables().map(\.variable) + states).map {
        try $0.scalars(as: Float.self).map(\.bitPattern)
      }
    }
    let before = try contents()
    let gradient = try step {
      try strategy.unrolledGradient(context, try batch(8), try batch(16))
    }
    #expect(try numbers(gradient[0]).contains { $0 != 0 })
    #expect(try contents() == before)
  }

  @Test("Running statistics move once a step: by the pass that trains the weights")
  func statistics() throws {
    let (context, net) = try context(learningRate: 0)
    let strategy = SecondOrderDARTS()
    try strategy.prepare(context)
    let (alone, twin) = try self.context(learningRate: 0)
    for (variable, other) in zip(net.namedVariables(), twin.namedVariables()) {
      try other.variable.assign(variable.variable.scalars() as [Float])
    }
    let plain = DARTS()
    try plain.prepare(alone)
    _ = try step { try strategy.step(context, training: batch(8)) { try batch(16) } }
    _ = try step { try plain.prepared.trainWeights(alone, try batch(8)) }
    for (found, expected) in zip(net.namedBuffers, twin.namedBuffers) {
      let values: [Float] = try found.buffer.variable.scalars()
      #expect(try values == expected.buffer.variable.scalars(), "\(found.path)")
    }
  }

  @Test("The passes over the training batch drop the same units: no gradient of noise over 2ε")
  func dropout() throws {
    // With weights that do not learn the second-order part is zero times ξ; with ξ it is of the size
    // of the curvature, not of two masks' difference, 1 / 2ε times larger.
    let (context, _) = try context(learningRate: 0.05)
    let strategy = SecondOrderDARTS()
    try strategy.prepare(context)
    let unrolled = try step(random: RandomState(seed: 3)) {
      try strategy.unrolledGradient(context, try batch(8), try batch(16))
    }
    context.optimizer.learningRate = 0
    let direct = try step(random: RandomState(seed: 3)) {
      try strategy.unrolledGradient(context, try batch(8), try batch(16))
    }
    let (a, b) = (try numbers(unrolled[0]), try numbers(direct[0]))
    let size = b.reduce(0) { max($0, abs($1)) }
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 0.5 * size }, "\(a), \(b)")
    #expect(a != b)
  }

  @Test("An optimizer whose update is not known is refused with the remedy")
  func otherOptimizer() throws {
    let net = ToyNet()
    let weights = try ParameterSet(net)
    let context = SearchContext(
      model: net, space: try SearchSpace(of: net, input: [1, 6, 6]), weights: weights,
      optimizer: try Adam(weights.named.map(\.parameter)), objective: .classification(),
      generator: SeededGenerator(seed: 1), evaluations: 1)
    let error = #expect(throws: RunError.self) { try SecondOrderDARTS().prepare(context) }
    #expect(error.map { "\($0)".contains("Adam") && "\($0)".contains("strategy darts") } == true)
  }

  @Test("A trial value is what the optimizer makes of the parameter", arguments: [false, true])
  func trialValue(isNesterov: Bool) throws {
    let parameter = Parameter([1, -2, 3], shape: [3])
    let optimizer = try SGD(
      [parameter], learningRate: 0.1, momentum: 0.9, dampening: isNesterov ? 0 : 0.3,
      weightDecay: 0.01, nesterov: isNesterov)
    for _ in 0..<3 {
      var expected: [Float] = []
      try step {
        let gradients = try valueAndGradient(wrt: [parameter.variable]) {
          (square(parameter.value) * parameter.value).sum()
        }.gradients
        let gradient = try #require(gradients[parameter.variable])
        expected = try optimizer.trialValue(of: parameter.variable, gradient: gradient).scalars()
        try optimizer.update(with: gradients)
      }
      expectClose(try parameter.variable.scalars(), expected, relative: 1e-6)
    }
  }
}
