import Testing

@testable import Espalier

@Suite("GDAS", .seededWeights)
struct GDASTests {
  /// Counts what runs.
  private final class Net {
    let scales = [Scale(1), Scale(2), Scale(3)]
    let head = Linear(2, 2)
    lazy var choice = LayerChoice(scales)
    lazy var model = Model(["choice": choice, "head": head]) { [choice, head] in head(choice($0)) }
  }

  private func batch() throws -> TensorBatch {
    TensorBatch(images: try noise([4, 2]), labels: try Tensor([0, 1, 0, 1] as [Int32]))
  }

  @Test("Only the sampled candidate runs: one call a pass, two passes a step")
  func onePath() throws {
    let net = Net()
    let context = try toyContext(net.model, try SearchSpace(of: net.model, input: [2]))
    let strategy = GDAS()
    try strategy.prepare(context)
    for scale in net.scales { scale.calls = 0 }
    for number in 0..<30 {
      _ = try step(random: RandomState(seed: 2, step: UInt32(number))) {
        try strategy.step(context, training: batch(), validation: batch)
      }
      #expect(net.scales.reduce(0) { $0 + $1.calls } == 2 * (number + 1))
    }
    // At τ = 10 noise decides, so each has its turns.
    #expect(net.scales.allSatisfy { $0.calls > 5 })
  }

  @Test("Every probability gets its gradient, also where what is exactly zero was sampled")
  func gradients() throws {
    let choice = LayerChoice(["zero": Zero(stride: 1), "a": Scale(1), "b": Scale(2)])
    let model = Model(["choice": choice]) { choice($0) }
    let objective = Objective(
      loss: { output, _ in output.sum() }, metrics: { _, _ in [:] }, selectionMetric: "loss",
      isLargerBetter: false)
    for sampled in 0..<3 {
      let context = try toyContext(
        model, try SearchSpace(of: model, input: [1]), objective: objective)
      // α this far apart decide whatever the noise; the first mean of Adam is half of the gradient.
      let strategy = GDAS(temperature: (first: 20, last: 20))
      try strategy.prepare(context)
      var alpha: [Float] = [0, 0, 0]
      alpha[sampled] = 30
      try assign(["choice3": alpha], to: strategy)
      let batch = TensorBatch(images: try Tensor([5, 7] as [Float], shape: [2, 1]), labels: nil)
      let found = try step { try strategy.step(context, training: batch) { batch } }
      // Forward exactly the sampled candidate: (5 + 7) times 0, 1 or 2.
      #expect(try found.loss.item() == Double(12 * sampled))
      let tensors = try #require(strategy.optimizers.first).optimizer.state.tensors
      let mean: [Float] = try tensors[0].variables[0].scalars()
      // ∂p of the sampled one is Σ o, of the others the number of elements, here 2.
      var upstream: [Float] = [2, 2, 2]
      upstream[sampled] = Float(12 * sampled)
      #expect(mean.allSatisfy { $0 != 0 }, "\(sampled): \(mean)")
      // Softmax' backward sends equal upstreams of the two others in their proportion, with one sign.
      let others = (0..<3).filter { $0 != sampled }.map { mean[$0] - 0.5 * 1e-3 * alpha[$0] }
      let isLess = upstream[sampled] > 2
      #expect(others.allSatisfy { isLess ? $0 < 0 : $0 > 0 }, "\(sampled): \(mean)")
    }
  }

  @Test("α that are no numbers stop the search with one line that names the choice")
  func notANumber() throws {
    let net = Net()
    let context = try toyContext(net.model, try SearchSpace(of: net.model, input: [2]))
    let strategy = GDAS()
    try strategy.prepare(context)
    try assign(["choice3": [0, .nan, 0]], to: strategy)
    let error = #expect(throws: RunError.self) {
      try step { try strategy.step(context, training: batch(), validation: batch) }
    }
    #expect(error.map { "\($0)".contains("α of choice") } == true)
  }

  @Test("τ falls evenly from the first to the last temperature, and is no part of a plan")
  func temperature() throws {
    // The loss is the sampled probability's gradient: sharper the lower τ.
    let net = Net()
    let context = try toyContext(net.model, try SearchSpace(of: net.model, input: [2]))
    let strategy = GDAS()
    try strategy.prepare(context)
    func run(_ number: Int) throws {
      context.position.step = number
      _ = try step(random: RandomState(seed: 2)) {
        try strategy.step(context, training: batch(), validation: batch)
      }
    }
    context.position = TrainingPosition(stepCount: 10, epochCount: 1)
    try context.rehearse(
      strategy, batches: [(4, 4)], evaluations: [], makeBatch: { _ in try batch() })
    let planned = EngineStatistics.threadCounters.planMisses
    for number in 0..<10 { try run(number) }
    #expect(EngineStatistics.threadCounters.planMisses == planned)
  }
}
