import Foundation
import OperationCases
import Testing

@testable import EspalierTensor

/// Counters are of the process, so each test has one of its own.
@Suite("Plans are found again")
struct PlanTests {
  @Test("A repeated step plans nothing, whatever its numbers are")
  func repeatedStep() async {
    await #expect(processExitsWith: .success) {
      let weight = try Variable([Float](repeating: 0.5, count: 75), shape: [5, 3, 5, 1])
      func run(_ factor: Float, _ number: UInt32) throws {
        let x = try Tensor(
          (0..<96).map { Float($0) * factor }, shape: [1, 3, 8, 4])
        _ = try step(random: RandomState(seed: 1, step: number)) { () -> [Tensor] in
          let (loss, gradients) = try valueAndGradient(wrt: [weight]) {
            dropout(relu(conv2d(x, weight.tensor)) * factor + factor, factor).sum()
          }
          return [loss, try #require(gradients[weight])]
        }
      }
      try run(0.5, 0)
      let first = EngineStatistics.counters
      guard first.planMisses > 0, first.launches > 0, first.records > 0 else { throw Failure() }
      EngineStatistics.reset()
      for number in 1..<10 { try run(Float(number) / 16, UInt32(number)) }
      let later = EngineStatistics.counters
      guard later.planMisses == 0, later.arenaGrowths == 0, later.planLookups > 0 else {
        throw Failure()
      }
      guard later.launches == 9 * first.launches else { throw Failure() }
    }
  }

  @Test("A block is another plan where gradients come in through, or go out to, others")
  func flowOfGradients() throws {
    let (x, y) = (
      try Variable([1, 2] as [Float], shape: [2]), try Variable([5, 7] as [Float], shape: [2])
    )
    /// The gradient towards x or y of one or the other of two results of a block.
    func gradient(through first: Bool, to variable: Variable) throws -> [Float] {
      try step { () -> Tensor in
        let (_, gradients) = try valueAndGradient(wrt: [variable]) { () -> [Tensor] in
          let (a, b) = (x.tensor * y.tensor, x.tensor * y.tensor * x.tensor)
          Recorder.current.mark(cut: true, identity: 1)
          return [((first ? a : b) + stopGradient(first ? b : a)).sum()]
        }
        return try #require(gradients[variable])
      }.scalars()
    }
    for _ in 0..<2 {
      #expect(try gradient(through: true, to: x) == [5, 7])
      #expect(try gradient(through: false, to: x) == [10, 28])
      #expect(try gradient(through: true, to: y) == [1, 2])
      #expect(try gradient(through: false, to: y) == [1, 4])
    }
  }

  @Test("Another shape, type, structure or demand is another plan")
  func differences() async {
    await #expect(processExitsWith: .success) {
      func misses(_ body: () throws -> Void) throws -> Int {
        EngineStatistics.reset()
        try body()
        return EngineStatistics.counters.planMisses
      }
      let a = try Tensor([Float](repeating: 1, count: 16), shape: [4, 4])
      let b = try Tensor([Float](repeating: 1, count: 16), shape: [2, 8])
      let c = try Tensor([Double](repeating: 1, count: 16), shape: [4, 4])
      let bodies: [() throws -> Void] = [
        { _ = try step { a.sum(axes: [0]) } }, { _ = try step { b.sum(axes: [0]) } },
        { _ = try step { c.sum(axes: [0]) } }, { _ = try step { a.sum(axes: [1]) } },
        { _ = try step { [a.sum(axes: [0]), a.sum(axes: [0])] } },
        { _ = try step { (a + a).sum() } }, { _ = try step { (a + a.onesLike()).sum() } },
        { _ = try valueAndGradient(wrt: [a]) { (a + a).sum() } },
        { _ = try Planning.$option.withValue(.reference) { try step { (a + a).sum() } } },
      ]
      for body in bodies { guard try misses(body) == 1 else { throw Failure() } }
      for body in bodies { guard try misses(body) == 0 else { throw Failure() } }
    }
  }

  @Test("Outside a step each operation is looked up: neither order nor handles are part of a key")
  func outsideSteps() async {
    await #expect(processExitsWith: .success) {
      let x = try Tensor([Float](repeating: 1, count: 16), shape: [4, 4])
      func counts(_ body: () throws -> Void) throws -> EngineCounters {
        EngineStatistics.reset()
        try body()
        return EngineStatistics.counters
      }
      let first = try counts { _ = try (exp(x) * x).scalars() }
      guard first.planLookups == 2, first.planMisses == 2 else { throw Failure() }
      let again = try counts {
        let kept = exp(exp(x) * x)
        _ = try (kept * exp(exp(x))).scalars()
        guard try kept.scalars().count == 16 else { throw Failure() }
      }
      guard again.planLookups == 6, again.planMisses == 0 else { throw Failure() }
      let other = try counts { _ = try sqrt(exp(x)).scalars() }
      guard other.planLookups == 2, other.planMisses == 1 else { throw Failure() }
    }
  }

  @Test("Outside a step what is read for the last time makes room for what follows")
  func roomOutsideSteps() async {
    await #expect(processExitsWith: .success) {
      let count = 1 << 16
      var x = try Tensor([Float](repeating: 0.5, count: count), shape: [count])
      let first = x
      for _ in 0..<20 { x = exp(-x) * first }
      let values: [Float] = try x.scalars()
      var expected: Float = 0.5
      for _ in 0..<20 { expected = exp(-expected) * 0.5 }
      guard values.allSatisfy({ abs($0 - expected) < 1e-6 }),
        EngineStatistics.counters.bytesPlanned <= 3 * 4 * count || Arena.isExact
      else { throw Failure() }
    }
  }

  @Test("Equal parts of a step run once under all passes, twice under none")
  func mergedParts() async {
    await #expect(processExitsWith: .success) {
      let x = try Tensor([Float](repeating: 1, count: 96), shape: [1, 6, 4, 4])
      func launches(_ option: Planning) throws -> Int {
        EngineStatistics.reset()
        _ = try Planning.$option.withValue(option) {
          try step {
            maxPool2d(x, kernelSize: 2).sum() + maxPool2d(x, kernelSize: 2).sum()
          }
        }
        return EngineStatistics.counters.launches
      }
      guard try launches(.full) == 3, try launches(.none) == 5 else { throw Failure() }
    }
  }
}

struct Failure: Error {
}
