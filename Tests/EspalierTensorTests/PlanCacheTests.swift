import Testing

@testable import EspalierTensor

@Suite("Plans are kept, within bounds")
struct PlanCacheTests {
  private func plan() -> Plan {
    Plan(
      operandCount: 0, resultCount: 0, forward: Program(rowBytes: 1000), backward: nil,
      frameBytes: 0, ownSpaces: [], producesGradient: [], readsUpstream: [], seconds: 0)
  }

  private func key(_ number: Int) -> PlanKey {
    var key = PlanKey()
    key.add(UInt64(number))
    return key
  }

  @Test("Beyond the bound the plans used longest ago go, never the one used last")
  func eviction() {
    var cache = PlanCache(bound: 8 * 1600)
    for number in 0..<6 {
      #expect(cache.plan(key(number)) == nil)
      cache.insert(plan(), key(number))
    }
    let kept = cache.plan(key(0))
    #expect(kept != nil)
    for number in 6..<100 {
      _ = cache.plan(key(number))
      cache.insert(plan(), key(number))
      #expect(cache.byteCount <= 8 * 1600)
      #expect(cache.plan(key(number)) != nil)
      #expect(cache.plan(key(0)) === kept)
    }
    #expect(cache.plan(key(1)) == nil)
    #expect(cache.count >= 4)
  }

  @Test("Giving plans up changes no bit")
  func evictionInSteps() async {
    await #expect(processExitsWith: .success) {
      func run() throws -> [[Float]] {
        let weight = try Variable(
          (0..<36).map { Float($0 % 7) / 8 }, shape: [2, 2, 3, 3], isConvolutionWeight: true)
        var results: [[Float]] = []
        for size in [4, 5, 4, 6, 5, 4] {
          let x = try Tensor(
            (0..<2 * size * size).map { Float($0 % 11) / 4 }, shape: [1, 2, size, size])
          let (loss, gradients) = try valueAndGradient(wrt: [weight]) {
            square(relu(conv2d(x, weight.tensor, padding: 1))).sum()
          }
          results += [try loss.scalars(), try gradients[weight]?.scalars() ?? []]
        }
        return results
      }
      let kept = try run()
      let first = EngineStatistics.counters.planMisses
      guard try run() == kept, EngineStatistics.counters.planMisses == first else {
        throw Failure()
      }
      Engine.shared.plans = PlanCache(bound: 1)
      guard try run() == kept, EngineStatistics.counters.planMisses > 2 * first else {
        throw Failure()
      }
    }
  }

  #if DEBUG
    @Test("Debug builds tell records apart whose keys collide")
    func collision() async {
      await #expect(processExitsWith: .failure) {
        var cache = PlanCache()
        var (a, b) = (PlanKey(), PlanKey())
        a.add(7)
        b.add(7)
        cache.insert(
          Plan(
            operandCount: 0, resultCount: 0, forward: Program(rowBytes: 1), backward: nil,
            frameBytes: 0, ownSpaces: [], producesGradient: [], readsUpstream: [], seconds: 0), a)
        guard cache.plan(b) != nil else { return }
        b.words.append(1)
        _ = cache.plan(b)
      }
    }
  #endif
}
