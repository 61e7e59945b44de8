import EspalierTensor
import Testing

@Suite("Training on OpenCL follows the CPU", .needsOpenCL)
struct OpenCLTrainingTests {
  @Test(
    "20 steps of a small network give the CPU's losses within 1e-4",
    arguments: SmallNetwork.Rule.allCases)
  func losses(_ rule: SmallNetwork.Rule) throws {
    var onCPU = try SmallNetwork(rule)
    var onOpenCL = try OpenCL.run { try SmallNetwork(rule) }
    for number in 1...20 {
      let expected = try onCPU.train().item()
      let found = try OpenCL.run { try onOpenCL.train().item() }
      let error = Swift.abs(found - expected) / expected
      #expect(error < 1e-4, "step \(number): \(found), on the CPU \(expected)")
    }
    let pairs = [
      (onOpenCL.running.mean, onCPU.running.mean),
      (onOpenCL.running.variance, onCPU.running.variance),
    ]
    for (found, expected) in pairs {
      let (x, y) = (try found.scalars() as [Float], try expected.scalars() as [Float])
      #expect(disagreement(x.map(Double.init), y.map(Double.init), "running") { _ in 2e-4 } == nil)
    }
  }

  @Test("Steps without a read give the same losses as steps with one")
  func asynchronous() throws {
    try OpenCL.run {
      var first = try SmallNetwork()
      let read = try (0..<6).map { _ in try first.train().item() }
      var second = try SmallNetwork()
      let losses = try (0..<6).map { _ in try second.train() }
      #expect(try losses.map { try $0.item() } == read)
    }
  }

  @Test(
    "Running statistics move as on the CPU, once a step, by each channel's share if there are shares",
    arguments: [false, true])
  func runningStatistics(hasShares: Bool) throws {
    func statistics() throws -> [Double] {
      let shares = hasShares ? try Tensor([0, 1, 0.5] as [Float]) : nil
      let mean = try Variable([0, 1, 2] as [Float], shape: [3])
      let variance = try Variable([1, 2, 3] as [Float], shape: [3])
      let x = try Tensor((0..<48).map { Float(($0 * 7) % 13) / 4 }, shape: [2, 3, 4, 2])
      for _ in 0..<3 {
        _ = try step {
          batchNorm(x, running: (mean, variance), shares: shares, momentum: 0.25)
        }
      }
      return try mean.tensor.numbers() + variance.tensor.numbers()
    }
    let (found, expected) = (try OpenCL.run(statistics), try statistics())
    #expect(disagreement(found, expected, "running") { 2 * unitInLastPlace(expected[$0]) } == nil)
  }

  @Test("A gradient that is not finite stops every later update until it is read")
  func notFinite() throws {
    try OpenCL.run {
      let weight = try Variable([1, 2] as [Float], shape: [2])
      let range = UpdateRange(variable: weight, states: [nil])
      let update = try ParameterUpdate<SGDRule>([range], on: Device.current)
      func step(_ factor: Float) throws {
        let x = try Tensor([factor, factor])
        let found = try valueAndGradient(wrt: [weight]) { (weight.tensor * x).sum() }
        try update.run(found.gradients, maximumNorm: 0) { _ in
          SGDRule(
            rate: 1, momentum: 0, dampening: 0, decay: 0, isNesterov: false, isFirst: true)
        }
      }
      try step(1)
      #expect(try weight.scalars() == [0, 1] as [Float])
      try step(.infinity)
      try step(1)
      #expect(try weight.scalars() == [0, 1] as [Float])
      #expect(try update.steps.scalars(as: Int32.self) == [1])
      #expect(try update.flag.take())
      try step(1)
      #expect(try weight.scalars() == [-1, 0] as [Float])
      #expect(try update.steps.scalars(as: Int32.self) == [2])
    }
  }

  @Test("Values move between devices and a later step reads them")
  func largeTransfers() throws {
    // More than the staging ring takes in one piece, and many small ones that go round it.
    let large = (0..<1_500_000).map { Float($0 % 4096) }
    try OpenCL.run {
      let x = try Tensor(large)
      #expect(try x.scalars() == large)
      let parts = try (0..<40).map { try Tensor([Float](repeating: Float($0), count: 100_000)) }
      let sums = try step { parts.map { $0.sum() } }
      #expect(try sums.map { try $0.item() } == (0..<40).map { Double($0 * 100_000) })
    }
  }
}
