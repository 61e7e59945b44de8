import Testing

@testable import EspalierTensor

/// Reads and updates of variables keep the order in which they were recorded.
@Suite("Updates against reads")
struct UpdateOrderTests {
  private func image() throws -> Tensor {
    try Tensor((0..<16).map { Float($0) }, shape: [2, 2, 2, 2])
  }

  private func statistics() throws -> (mean: Variable, variance: Variable) {
    (try Variable([0, 0] as [Float], shape: [2]), try Variable([1, 1] as [Float], shape: [2]))
  }

  @Test("An assignment runs after what was recorded before it")
  func assignment() throws {
    let w = try Variable([1, 2] as [Float], shape: [2])
    let y = w.tensor * 10
    try w.assign([5, 6] as [Float])
    #expect(try y.scalars() == [10, 20])
    #expect(try (w.tensor * 1).scalars() == [5, 6])
  }

  @Test("Running statistics that are read hold all recorded updates")
  func pendingUpdate() throws {
    let running = try statistics()
    _ = batchNorm(try image(), running: running, momentum: 1)
    #expect(try running.mean.scalars() == [5.5, 9.5])
    #expect(try (running.mean.tensor * 1).scalars() == [5.5, 9.5])
  }

  @Test("The same inside a step")
  func pendingUpdateInStep() throws {
    let running = try statistics()
    let x = try image()
    var seen: [Float] = []
    try step { () throws -> Void in
      _ = batchNorm(x, running: running, momentum: 1)
      seen = try running.mean.scalars()
    }
    #expect(seen == [5.5, 9.5])
  }

  @Test(
    "A value from before an update stays what it was",
    arguments: [Planning.full, .none, .reference])
  func backwardReadsOverwritten(option: Planning) throws {
    let running = try statistics()
    try running.mean.assign([1, 1] as [Float])
    let x = try Tensor([3, 4] as [Float])
    let image = try image()
    let gradient = try Planning.$option.withValue(option) {
      try step { () -> [Tensor] in
        let (_, found) = try valueAndGradient(wrt: [x]) { () -> Tensor in
          let product = (x * running.mean.tensor).sum()
          _ = batchNorm(image, running: running, momentum: 1)
          return product
        }
        return found.compactMap { $0 }
      }
    }
    #expect(try gradient[0].scalars() == [1, 1])
    #expect(try running.mean.scalars() == [5.5, 9.5])
  }

  private static func checkStoppedStatistics() throws {
    let x = try Tensor((0..<16).map { Float($0) }, shape: [2, 2, 2, 2])
    let mean = try Variable([0, 0] as [Float], shape: [2])
    let variance = try Variable([1, 1] as [Float], shape: [2])
    let weight = try Variable([1] as [Float], shape: [1])
    let update = try ParameterUpdate<SGDRule>(
      [UpdateRange(variable: weight, states: [nil])], on: Device.current)
    func train(_ factor: Float) throws {
      try step {
        let scale = try Tensor([factor])
        let (_, gradients) = try valueAndGradient(wrt: [weight]) { () -> Tensor in
          _ = batchNorm(x, running: (mean, variance), momentum: 0.5)
          return (weight.tensor * scale).sum()
        }
        try update.run(gradients, maximumNorm: 0) { _ in
          SGDRule(
            rate: 1, momentum: 0, dampening: 0, decay: 0, isNesterov: false, isFirst: true)
        }
      }
    }
    // Of 5.5 and 9.5; the pass whose gradient is infinite still moves them, nothing after it does.
    try train(.infinity)
    #expect(try mean.scalars() == [2.75, 4.75] as [Float])
    let stopped: [Float] = try variance.scalars()
    let plans = EngineStatistics.threadCounters.planMisses
    try train(1)
    try train(1)
    #expect(try mean.scalars() == [2.75, 4.75] as [Float])
    #expect(try variance.scalars() == stopped)
    #expect(try weight.scalars() == [1] as [Float])
    #expect(try update.flag.take())
    try train(1)
    #expect(try mean.scalars() == [4.125, 7.125] as [Float])
    #expect(try weight.scalars() == [0] as [Float])
    #expect(EngineStatistics.threadCounters.planMisses == plans)
  }

  @Test("A norm that is not finite stops running statistics too, until it is read")
  func stoppedStatistics() throws { try Self.checkStoppedStatistics() }

  @Test("On OpenCL too", .needsOpenCL)
  func stoppedStatisticsOnOpenCL() throws { try OpenCL.run { try Self.checkStoppedStatistics() } }

  @Test("An optimizer beside it does not change how running statistics are planned")
  func flagIsNoStructure() throws {
    let x = try image()
    func run() throws { _ = try step { batchNorm(x, running: try statistics()) } }
    try run()
    let plans = EngineStatistics.threadCounters.planMisses
    let flag = try NonFiniteFlag.shared(on: Device.current)
    try run()
    #expect(EngineStatistics.threadCounters.planMisses == plans)
    #expect(try !flag.take())
  }

  @Test("An alias of a variable is not overwritten with it")
  func alias() throws {
    let running = try statistics()
    let x = try image()
    let difference = try step { () -> Tensor in
      let before = stopGradient(running.mean.tensor)
      _ = batchNorm(x, running: running, momentum: 1)
      return running.mean.tensor - before
    }
    #expect(try difference.scalars() == [5.5, 9.5])
  }

  @Test("A handle of a variable's old contents traps")
  func staleHandle() async {
    await #expect(processExitsWith: .failure) {
      let mean = try Variable([0, 0] as [Float], shape: [2])
      let old = mean.tensor
      try mean.assign([1, 1] as [Float])
      _ = try (old * 2).scalars()
    }
  }

  @Test("A gradient that a later pass overwrote traps; a snapshot of it does not")
  func overwrittenGradient() async throws {
    await #expect(processExitsWith: .failure) {
      let w = try Variable([1, 2] as [Float], shape: [2])
      let first = try valueAndGradient(wrt: [w]) { square(w.tensor).sum() }.gradients[w]
      _ = try valueAndGradient(wrt: [w]) { w.tensor.sum() }
      _ = try first?.scalars()
    }
    let w = try Variable([1, 2] as [Float], shape: [2])
    let first = try valueAndGradient(wrt: [w]) { square(w.tensor).sum() }.gradients[w]?.snapshot()
    _ = try valueAndGradient(wrt: [w]) { w.tensor.sum() }
    #expect(try first?.scalars() == [2, 4])
  }

  @Test("A step inside a step traps instead of losing the outer one")
  func nestedStep() async {
    await #expect(processExitsWith: .failure) {
      let x = try Tensor([1] as [Float])
      _ = try step { try step { x * 2 } }
    }
  }

  @Test("Which weights a sum takes, and which candidate ran, plan nothing new")
  func dataNotStructure() throws {
    let x = try Tensor([1, 2] as [Float])
    let weights = try Tensor([1, 10, 100] as [Float])
    func run(_ index: Int) throws -> [Float] {
      try step { weightedSum([x], weights: weights, indices: [index]) }.scalars()
    }
    #expect(try run(0) == [1, 2])
    let before = EngineStatistics.threadCounters.planMisses
    #expect(try run(1) == [10, 20])
    #expect(try run(2) == [100, 200])
    #expect(EngineStatistics.threadCounters.planMisses == before)
  }
}
