import EspalierTensor
import Testing

@Suite("Running statistics of batch norm")
struct BatchNormTests {
  private let x = (0..<48).map { Float(($0 * 7) % 13) / 4 }

  private func moments(_ channel: Int) -> (mean: Float, variance: Float) {
    // [2, 3, 4, 2]: 16 elements a channel.
    let elements = x.indices.filter { $0 / 8 % 3 == channel }.map { Double(x[$0]) }
    let mean = elements.reduce(0, +) / 16
    let variance = elements.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 15
    return (Float(mean), Float(variance))
  }

  @Test(
    "They move by the momentum towards the batch's mean and unbiased variance",
    arguments: [Planning.full, .none, .reference])
  func update(_ option: Planning) throws {
    let mean = try Variable([0, 1, 2] as [Float], shape: [3])
    let variance = try Variable([1, 2, 3] as [Float], shape: [3])
    let input = try Tensor(x, shape: [2, 3, 4, 2])
    for count in 1...3 {
      _ = try Planning.$option.withValue(option) {
        try step { batchNorm(input, running: (mean, variance), momentum: 0.25) }
      }
      let kept = Float(0.75).power(count)
      for channel in 0..<3 {
        let batch = moments(channel)
        let expected = (
          kept * Float(channel) + (1 - kept) * batch.mean,
          kept * Float(channel + 1) + (1 - kept) * batch.variance
        )
        #expect(Swift.abs(try mean.scalars()[channel] - expected.0) < 1e-5)
        #expect(Swift.abs(try variance.scalars()[channel] - expected.1) < 1e-5)
      }
    }
  }

  @Test("Ghost batches move them one after another, each as a batch of its own would")
  func ghosts() throws {
    let input = try Tensor((0..<60).map { Float(($0 * 7) % 13) / 4 }, shape: [5, 3, 2, 2])
    func statistics(_ body: ((mean: Variable, variance: Variable)) throws -> Void) throws
      -> [Float]
    {
      let mean = try Variable([0, 1, 2] as [Float], shape: [3])
      let variance = try Variable([1, 2, 3] as [Float], shape: [3])
      try body((mean, variance))
      return try mean.scalars() + variance.scalars()
    }
    let together = try statistics { running in
      try step { _ = ghostBatchNorm(input, groupSize: 3, running: running, momentum: 0.25) }
    }
    let apart = try statistics { running in
      for images in [0..<3, 3..<5] {
        try step { _ = batchNorm(input.slice(images, axis: 0), running: running, momentum: 0.25) }
      }
    }
    #expect(together == apart)
  }

  @Test(
    "A channel's share multiplies its momentum; of share 0 not a bit moves",
    arguments: [Planning.full, .none, .reference])
  func shares(_ option: Planning) throws {
    let start: (mean: [Float], variance: [Float]) = ([0.1, 1, 2.3], [1.7, 2, 3.1])
    let mean = try Variable(start.mean, shape: [3])
    let variance = try Variable(start.variance, shape: [3])
    let shares: [Float] = [0, 1, 0.5]
    let input = try Tensor(x, shape: [2, 3, 4, 2])
    let weights = try Tensor(shares)
    _ = try Planning.$option.withValue(option) {
      try step {
        batchNorm(input, running: (mean, variance), shares: weights, momentum: 0.25)
      }
    }
    for channel in 0..<3 {
      let (batch, share) = (moments(channel), 0.25 * shares[channel])
      let expected = (
        (1 - share) * start.mean[channel] + share * batch.mean,
        (1 - share) * start.variance[channel] + share * batch.variance
      )
      #expect(Swift.abs(try mean.scalars()[channel] - expected.0) < 1e-5)
      #expect(Swift.abs(try variance.scalars()[channel] - expected.1) < 1e-5)
    }
    #expect(try mean.scalars()[0] == start.mean[0])
    #expect(try variance.scalars()[0] == start.variance[0])
  }

  @Test("They are updated once a step, also under a gradient and where the result is not used")
  func once() throws {
    let input = try Tensor(x, shape: [2, 3, 4, 2])
    func statistics(_ body: (Variable, Variable) throws -> Void) throws -> [Float] {
      let mean = try Variable([0, 0, 0] as [Float], shape: [3])
      let variance = try Variable([1, 1, 1] as [Float], shape: [3])
      try body(mean, variance)
      return try mean.scalars() + variance.scalars()
    }
    let plain = try statistics { mean, variance in
      _ = try step { batchNorm(input, running: (mean, variance)) }
    }
    let unused = try statistics { mean, variance in
      try step { _ = batchNorm(input, running: (mean, variance)) }
    }
    let read = try statistics { mean, variance in
      _ = try step { () -> Tensor in
        let y = batchNorm(input, running: (mean, variance))
        _ = try y.sum().item()
        return y * 2
      }
    }
    let differentiated = try statistics { mean, variance in
      _ = try step { () -> [Tensor] in
        let (value, gradients) = try valueAndGradient(wrt: [input]) {
          square(batchNorm(input, running: (mean, variance))).sum()
        }
        return [value, try #require(gradients[0])]
      }
    }
    #expect(unused == plain)
    #expect(read == plain)
    #expect(differentiated == plain)
  }
}

extension Float {
  fileprivate func power(_ n: Int) -> Float { (0..<n).reduce(1) { y, _ in y * self } }
}
