import Testing

@testable import EspalierTensor

/// No pass merges or moves work across the barriers around a custom gradient's evaluation, or from
/// the backward into the forward.
///
/// Each test has a chain that a pass would fuse or merge, with a barrier in it, and counts kernel
/// calls: of the chain with the barrier elsewhere, as a control, and of the chain as it is.
@Suite("What stands between barriers stays there")
struct BarrierTests {
  // MARK: Merging

  @Test("Equal parts of two evaluations, and of what comes after them, are computed by each")
  func equalParts() async {
    await #expect(processExitsWith: .success) {
      let x = try Material.image(1)
      let pool = { (y: Tensor) in maxPool2d(y, kernelSize: 3, stride: 1, padding: 1) }
      let planned = try PlannedCalls { () -> [Tensor?] in
        try valueAndGradient(wrt: [x]) { () -> Tensor in
          let inner = try valueAndGradient(wrt: [x]) { () -> Tensor in
            let a = withGradient(of: x, wrt: [x]) { [$0 * pool(x)] }
            return (a + withGradient(of: x, wrt: [x]) { [$0 * pool(x)] }).sum()
          }
          return (try #require(inner.gradients[0]) * pool(x)).sum()
        }.gradients
      }
      try planned.expect("max_pool2d", forward: 3, backward: 0)
    }
  }

  @Test("Work before, within and after an evaluation stays three, apart from the forward's")
  func equalPartsOfGradients() async {
    await #expect(processExitsWith: .success) {
      let (a, b) = (try Tensor([0.5, 2, 3] as [Float]), try Tensor([2, -1, 0.5] as [Float]))
      func calls(hasBarrier: Bool) throws -> PlannedCalls {
        try PlannedCalls { () -> [Tensor?] in
          try valueAndGradient(wrt: [b]) { () -> Tensor in
            let first = pow(a, b)
            let z = hasBarrier ? withGradient(of: b, wrt: [b]) { [$0 * log(a)] } : b
            // The backward of each power needs log(a).
            return (first + z + pow(a, b * b) + log(a)).sum()
          }.gradients
        }
      }
      try calls(hasBarrier: false).expect("unary", forward: 1, backward: 1)
      try calls(hasBarrier: true).expect("unary", forward: 1, backward: 3)
    }
  }

  // MARK: ReLU, depthwise and pointwise convolution

  @Test("A forward chain that is partly in an evaluation is not fused", arguments: 0...3)
  func chainIntoEvaluation(outside: Int) async {
    await #expect(processExitsWith: .success) { [outside] in
      let (x, chain) = (try Material.image(1), try Material.chain())
      func calls(outside: Int) throws -> PlannedCalls {
        try PlannedCalls { () -> [Tensor?] in
          try valueAndGradient(wrt: [x]) { () -> Tensor in
            let begun = chain[..<outside].reduce(x) { $1($0) }
            let inner = try valueAndGradient(wrt: [x]) {
              withGradient(of: x, wrt: [x]) { [$0 * chain[outside...].reduce(begun) { $1($0) }] }
                .sum()
            }
            return square(try #require(inner.gradients[0])).sum()
          }.gradients
        }
      }
      let name = "relu_depthwise_pointwise"
      try calls(outside: chain.count).expect(name, forward: 1, backward: 0)
      try calls(outside: outside).expect(name, forward: 0, backward: 0)
    }
  }

  @Test("A forward chain that an evaluation interrupts is not fused", arguments: 1...3)
  func interruptedChain(before: Int) async {
    await #expect(processExitsWith: .success) { [before] in
      let (x, chain) = (try Material.image(1), try Material.chain())
      let planned = try PlannedCalls { () -> [Tensor?] in
        try valueAndGradient(wrt: [x]) { () -> Tensor in
          let begun = chain[..<before].reduce(x) { $1($0) }
          let inner = try valueAndGradient(wrt: [x]) { Material.barrier(x).sum() }
          let y = chain[before...].reduce(begun) { $1($0) }
          return (square(y) + (try #require(inner.gradients[0]))).sum()
        }.gradients
      }
      try planned.expect("relu_depthwise_pointwise", forward: 0, backward: 0)
      try planned.expect("relu_depthwise_pointwise_backward", forward: 0, backward: 0)
    }
  }

  @Test("A backward chain that an evaluation interrupts is not fused", arguments: 1...3)
  func interruptedBackward(before: Int) async {
    await #expect(processExitsWith: .success) { [before] in
      let (x, chain) = (try Material.image(1), try Material.chain())
      func calls(before: Int) throws -> PlannedCalls {
        try PlannedCalls { () -> [Tensor?] in
          try valueAndGradient(wrt: [x]) { () -> Tensor in
            let begun = chain[..<before].reduce(x) { $1($0) }
            let z = Material.barrier(x)
            return (square(chain[before...].reduce(begun) { $1($0) }) + z).sum()
          }.gradients
        }
      }
      try calls(before: 0).expect("relu_depthwise_pointwise_backward", forward: 0, backward: 1)
      let planned = try calls(before: before)
      try planned.expect("relu_depthwise_pointwise", forward: 1, backward: 0)
      try planned.expect("relu_depthwise_pointwise_backward", forward: 0, backward: 0)
    }
  }

  @Test("The gradients of one source are not added up across an evaluation")
  func sourceGradients() async {
    await #expect(processExitsWith: .success) {
      let x = try Material.image(1)
      let (first, second) = (try Material.chain(), try Material.chain())
      func calls(isBetween: Bool) throws -> PlannedCalls {
        try PlannedCalls { () -> [Tensor?] in
          try valueAndGradient(wrt: [x]) { () -> Tensor in
            let early = isBetween ? nil : Material.barrier(x)
            let a = first.reduce(x) { $1($0) }
            let z = early ?? Material.barrier(x)
            return (square(a) + z + square(second.reduce(x) { $1($0) })).sum()
          }.gradients
        }
      }
      let name = "relu_depthwise_pointwise_backward"
      try calls(isBetween: false).expect(name, forward: 0, backward: 1)
      try calls(isBetween: true).expect(name, forward: 0, backward: 2)
    }
  }

  @Test("The sums of a source's batch norm are not taken across an evaluation")
  func sourceSums() async {
    await #expect(processExitsWith: .success) {
      let (x, chain) = (try Material.image(1), try Material.chain())
      func calls(isBetween: Bool) throws -> PlannedCalls {
        try PlannedCalls { () -> [Tensor?] in
          try valueAndGradient(wrt: [x]) { () -> Tensor in
            let early = isBetween ? nil : Material.barrier(x)
            let source = batchNorm(x)
            let z = early ?? Material.barrier(x)
            return (square(chain.reduce(source) { $1($0) }) + z).sum()
          }.gradients
        }
      }
      try calls(isBetween: false).expect("batch_norm_sums", forward: 0, backward: 1)
      try calls(isBetween: true).expect("batch_norm_sums", forward: 0, backward: 2)
    }
  }

  // MARK: Sums

  @Test("A sum of normalised branches does not normalise across an evaluation's border")
  func combine() async {
    await #expect(processExitsWith: .success) {
      let images = try (1...3).map { try Material.image($0) }
      enum Place: CaseIterable {
        case none, branches, sum, outerSum, between, betweenSums
      }
      func calls(_ place: Place) throws -> PlannedCalls {
        try PlannedCalls { () -> [Tensor?] in
          try valueAndGradient(wrt: images) { () -> Tensor in
            let x = images[0]
            /// The gradient that an evaluation of `body` gives.
            func evaluated(_ isInside: Bool, _ body: @escaping () -> Tensor) throws -> Tensor {
              guard isInside else { return body() }
              let inner = try valueAndGradient(wrt: [x]) {
                withGradient(of: x, wrt: [x]) { [$0 * body()] }.sum()
              }
              return try #require(inner.gradients[0])
            }
            let branches = try images[1...].map { image in
              try evaluated(place == .branches) { batchNorm(image) }
            }
            let extra = try place == .between ? evaluated(true) { x * x } : x
            let sum = try evaluated(place == .sum) { addAll(branches) }
            let other = try place == .betweenSums ? evaluated(true) { x * x } : x
            let outer = try evaluated(place == .outerSum) { addAll([sum, x]) }
            return (square(outer) + extra + other).sum()
          }.gradients
        }
      }
      let expected: [Place: (normalize: Int, terms: Int)] = [
        .none: (0, 3), .branches: (2, 3), .sum: (2, 0), .outerSum: (0, 2), .between: (2, 3),
        .betweenSums: (0, 2),
      ]
      for place in Place.allCases {
        let rows = try calls(place).forwardRows
        let found = (rows["normalize", default: 0], rows["combine_normalized", default: 0])
        guard let expected = expected[place], found == expected else {
          fatalError("\(place): \(found)")
        }
      }
    }
  }

  @Test(
    "The sums of a mixture's backward are not taken across an evaluation", arguments: [true, false])
  func combineSums(wantsWeights: Bool) async {
    await #expect(processExitsWith: .success) { [wantsWeights] in
      let images = try (1...3).map { try Material.image($0) }
      let weights = try Tensor([0.25, 0.75] as [Float])
      func calls(isBetween: Bool) throws -> PlannedCalls {
        try PlannedCalls { () -> [Tensor?] in
          try valueAndGradient(wrt: images + (wantsWeights ? [weights] : [])) { () -> Tensor in
            let early = isBetween ? nil : Material.barrier(images[0])
            let branches = images[1...].map { batchNorm($0) }
            let z = early ?? Material.barrier(images[0])
            return (square(weightedSum(branches, weights: weights)) + z).sum()
          }.gradients
        }
      }
      try calls(isBetween: false).expect("combine_sums", forward: 0, backward: 1)
      try calls(isBetween: true).expect("combine_sums", forward: 0, backward: 0)
    }
  }
}

/// How often each kernel is called by the plans that some closure needs under all passes.
private struct PlannedCalls {
  let forward: [String: Int]
  let backward: [String: Int]
  let forwardRows: [String: Int]

  /// Runs `body` under all passes and compares what it gives with the reference.
  init(_ body: () throws -> [Tensor?]) throws {
    Engine.shared.plans = PlanCache()
    func run(_ option: Planning) throws -> [[Double]] {
      try Planning.$option.withValue(option) { try body().map { try $0?.numbers() ?? [] } }
    }
    let found = try run(.full)
    let plans = Engine.shared.plans.values
    forward = counts(plans.flatMap(\.forward.names).map { ($0, 1) })
    backward = counts(plans.flatMap { $0.backward?.names ?? [] }.map { ($0, 1) })
    forwardRows = counts(
      plans.flatMap { zip($0.forward.names, $0.forward.launches.map { Int($0.rowCount) }) })
    for (index, expected) in try run(.reference).enumerated() {
      let largest = expected.reduce(0) { max($0, abs($1)) }
      let message = disagreement(found[index], expected, "gradient \(index)") { _ in
        1e-5 * max(largest, 1)
      }
      if let message { fatalError(message) }
    }
  }

  /// Ends the process where a kernel is called more or less often.
  func expect(_ name: String, forward: Int, backward: Int) throws {
    let found = (self.forward[name, default: 0], self.backward[name, default: 0])
    guard found == (forward, backward) else {
      fatalError("\(name): \(found), expected \((forward, backward)); \(self)")
    }
  }
}

private func counts(_ pairs: [(String, Int)]) -> [String: Int] {
  Dictionary(pairs, uniquingKeysWith: +)
}

private enum Material {
  /// Distinct numbers, none of them 0.
  static func image(_ seed: Int) throws -> Tensor {
    let shape: Shape = [2, 4, 5, 5]
    return try Tensor(
      (0..<shape.count).map { Float(($0 * 37 + seed * 11) % 101) / 50 - 1.01 }, shape: shape)
  }

  /// ReLU, depthwise and pointwise convolution, batch norm.
  static func chain() throws -> [(Tensor) -> Tensor] {
    let depthwise = try Variable(
      (0..<36).map { Float($0 % 7) / 8 - 0.3 }, shape: [4, 1, 3, 3], isConvolutionWeight: true)
    let pointwise = try Variable(
      (0..<16).map { Float($0 % 5) / 4 - 0.4 }, shape: [4, 4, 1, 1], isConvolutionWeight: true)
    return [
      { relu($0) }, { conv2d($0, depthwise.tensor, padding: 1, groups: 4) },
      { conv2d($0, pointwise.tensor) }, { batchNorm($0) },
    ]
  }

  /// `x`, with a gradient of its own: its evaluation stands between barriers.
  static func barrier(_ x: Tensor) -> Tensor { withGradient(of: x, wrt: [x]) { [$0 * exp(x)] } }
}
