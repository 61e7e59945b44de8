import Testing

@testable import EspalierTensor

@Suite("The fused update")
struct ParameterUpdateTests {
  /// Numbers of alternating sign over six orders of magnitude: their sum shows the order of adding.
  private static func elements(_ count: Int) -> [Float] {
    var state: UInt32 = 12345
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(Int32(bitPattern: state)) / Float(1 << (state % 20))
    }
  }

  /// Sums of squares as `esp_squared_norm` says: pieces of 16,384, each as 16 sums of every 16th.
  private static func sumsOfSquares(_ elements: [Float]) -> [Double] {
    stride(from: 0, to: elements.count, by: 16_384).map { first in
      var sums = [Double](repeating: 0, count: 16)
      for (k, x) in elements[first..<min(first + 16_384, elements.count)].enumerated() {
        sums[k % 16] += Double(x) * Double(x)
      }
      return sums.reduce(0, +)
    }
  }

  private static func sgd(_ parameters: [Variable]) throws -> ParameterUpdate<SGDRule> {
    try ParameterUpdate<SGDRule>(
      parameters.map { UpdateRange(variable: $0, states: [nil]) },
      on: Device.current)
  }

  private static let plain = SGDRule(
    rate: 1, momentum: 0, dampening: 0, decay: 0, isNesterov: false, isFirst: true)

  private static func checkNormOrder() throws {
    let parts = [elements(40_003), elements(7), elements(16_384)]
    let parameters = try parts.map {
      try Variable([Float](repeating: 0, count: $0.count), shape: [$0.count])
    }
    let update = try sgd(parameters)
    let (_, gradients) = try valueAndGradient(wrt: parameters) { () -> Tensor in
      addAll(try zip(parameters, parts).map { ($0.tensor * (try Tensor($1))).sum() })
    }
    try update.run(gradients, maximumNorm: 1) { _ in plain }
    let expected = parts.flatMap(sumsOfSquares)
    var found = [Double](repeating: 0, count: expected.count)
    let backend = try Engine.shared.backend(Device.current)
    try found.withUnsafeMutableBytes {
      try backend.read(Slice(buffer: update.partials, byteOffset: 0), into: $0)
    }
    #expect(found == expected)
    let norm = Float(expected.reduce(0, +).squareRoot())
    #expect(try update.scale.scalars() == [1 / (norm + 1e-6), norm, 0] as [Float])
  }

  @Test("A norm is added in an order of shape alone, to the last bit as written down here")
  func normOrder() throws { try Self.checkNormOrder() }

  @Test("And in the same order on OpenCL", .needsOpenCL)
  func normOrderOnOpenCL() throws { try OpenCL.run { try Self.checkNormOrder() } }

  @Test("Other parameters each step take at most five launches and no memory")
  func subsets() async {
    // In a process of its own: the pool is shared.
    await #expect(processExitsWith: .success) {
      let sizes = (0..<60).map { [3, 170, 20_000, 64][$0 % 4] }
      let parameters = try sizes.map {
        try Variable([Float](repeating: 0, count: $0), shape: [$0])
      }
      try FlatStorage.place(parameters)
      let update = try Self.sgd(parameters)
      var counts = sizes.map { _ in Float(0) }
      for step in 0..<30 {
        // Early steps have few parameters, later ones more.
        let present = parameters.indices.filter { ($0 * 7 + step * 13) % 30 <= step }
        let (_, gradients) = try valueAndGradient(wrt: parameters) {
          addAll(present.map { parameters[$0].tensor.sum() })
        }
        let before = CPUBackend.shared.pool.allocatedBytes
        let launches = EngineStatistics.threadCounters.launches
        try update.run(gradients, maximumNorm: 0) { _ in Self.plain }
        let taken = EngineStatistics.threadCounters.launches - launches
        precondition((1...5).contains(taken), "\(taken) launches")
        precondition(CPUBackend.shared.pool.allocatedBytes == before, "an update took memory")
        for index in present { counts[index] -= 1 }
      }
      for (parameter, count) in zip(parameters, counts) {
        let found: [Float] = try parameter.scalars()
        precondition(found.allSatisfy { $0 == count }, "\(found[0]), expected \(count)")
      }
    }
  }
}
