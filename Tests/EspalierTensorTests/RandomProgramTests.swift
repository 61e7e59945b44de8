import Testing

@testable import EspalierTensor

/// Random programs of every feature of the core, run under all plans, cuts and reads.
@Suite("Random programs")
struct RandomProgramTests {
  /// The choices that make a program: the same numbers make the same program.
  private struct Choices {
    private var generator: UInt64

    init(seed: UInt64) { generator = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next(_ count: Int) -> Int {
      generator ^= generator << 13
      generator ^= generator >> 7
      generator ^= generator << 17
      return Int((generator >> 20) % UInt64(count))
    }

    mutating func numbers(_ count: Int) -> [Float] {
      (0..<count).map { _ in Float(next(2000) - 1000) / 1000 }
    }
  }

  private static let shape: Shape = [3, 2, 2, 2]

  private struct Variables {
    let w: Variable
    let u: Variable
    let a: Variable
    let mean: Variable
    let variance: Variable

    init(_ choices: inout Choices) throws {
      w = try Variable(choices.numbers(24), shape: shape)
      u = try Variable(choices.numbers(24), shape: shape)
      a = try Variable(choices.numbers(2), shape: [2])
      mean = try Variable([0, 0] as [Float], shape: [2])
      variance = try Variable([1, 1] as [Float], shape: [2])
    }
  }

  private func operation(_ kind: Int, _ p: Tensor, _ q: Tensor, _ v: Variables) -> Tensor {
    switch kind {
    case 0: return p + q
    case 1: return p * q * 0.5
    case 2: return relu(p)
    case 3: return p.flattened().reshaped(to: [6, 4] as Shape).reshaped(to: Self.shape)
    case 4: return stopGradient(p)
    case 5:
      return batchNorm(
        p, gamma: v.a.tensor, beta: v.a.tensor, running: (v.mean, v.variance), momentum: 0.5)
    case 6: return softmax(p.flattened()).reshaped(to: Self.shape)
    case 7: return concatenate([p, q], axis: 1).slice(1..<3, axis: 1)
    case 8: return weightedSum([p, q, p], weights: softmax(v.a.tensor), indices: [1, 0, 1])
    case 9: return record(Copy(carriesGradient: true), p)
    case 10: return withGradient(of: p * 1.5, wrt: [p]) { dy in [dy * q + dy.mean()] }
    case 11: return dropout(p, 0.25)
    case 12: return maxPool2d(p, kernelSize: 3, stride: 1, padding: 1)
    case 13: return p - p.mean(axes: [0, 2, 3], keepingDimensions: true)
    case 14:
      // The chain that the fused convolutions replace; the sizes stay.
      let depthwise = v.w.tensor.slice(starts: [0, 0, 0, 0], sizes: [2, 1, 2, 2])
      let pointwise = v.u.tensor.slice(starts: [0, 0, 0, 0], sizes: [2, 2, 1, 1])
      let t = conv2d(relu(p), depthwise, padding: 1, dilation: 2, groups: 2)
      return batchNorm(conv2d(t, pointwise))
    case 15:
      // Branches of one source.
      let (wide, narrow) = (v.w.tensor, v.u.tensor)
      let branches = [(wide, narrow), (narrow, wide)].map { a, b in
        let depthwise = a.slice(starts: [0, 0, 0, 0], sizes: [2, 1, 2, 2])
        let t = conv2d(relu(p), depthwise, padding: 1, dilation: 2, groups: 2)
        return batchNorm(conv2d(t, b.slice(starts: [0, 0, 0, 0], sizes: [2, 2, 1, 1])))
      }
      return addAll(branches + [q])
    case 17:
      // Two such chains one after the other: the second normalises its source on load.
      let pointwise = v.u.tensor.slice(starts: [0, 0, 0, 0], sizes: [2, 2, 1, 1])
      let depthwise = v.w.tensor.slice(starts: [0, 0, 0, 0], sizes: [2, 1, 2, 2])
      let first = batchNorm(conv2d(relu(p), pointwise))
      let t = conv2d(relu(first), depthwise, padding: 1, dilation: 2, groups: 2)
      return batchNorm(conv2d(t, pointwise))
    case 16:
      // A node of two mixtures; one of their terms is in both.
      let (weights, shared) = (softmax(v.a.tensor), batchNorm(p))
      return addAll([
        weightedSum([shared, batchNorm(q * 2), p], weights: weights, indices: [1, 0, 1]),
        weightedSum([shared, relu(q)], weights: weights, indices: [0, 1]),
      ])
    default: return addAll([p, q, p, p, q])
    }
  }

  /// Results, gradients and running statistics of one program.
  private func run(_ seed: UInt64, _ option: Planning, cuts: Bool, reads: Bool) throws -> [[Float]]
  {
    var choices = Choices(seed: seed)
    for _ in 0..<5 { _ = choices.next(2) }
    let v = try Variables(&choices)
    let x = try Tensor(choices.numbers(24), shape: Self.shape)
    let results = try Planning.$option.withValue(option) {
      try step(random: RandomState(seed: seed)) { () -> [Tensor] in
        var values = [x, v.w.tensor * 2]
        let early = values[1]
        var sources = [v.w.tensor, v.u.tensor, v.a.tensor]
        if choices.next(2) == 0 { sources.append(early) }
        let (pack, gradients) = try valueAndGradient(wrt: sources) { () -> [Tensor] in
          values += [v.w.tensor, v.u.tensor]
          var kept: [Tensor] = []
          for _ in 0..<(4 + choices.next(16)) {
            let p = values[choices.next(values.count)]
            let q = values[choices.next(values.count)]
            let y = operation(choices.next(19), p, q, v)
            let (cut, read, keep) = (choices.next(3), choices.next(6), choices.next(4))
            if cuts && cut == 0 { Recorder.current.mark(cut: true, identity: 4) }
            if reads && read == 0 { _ = try y.scalars() as [Float] }
            if keep == 0 { kept.append(y) }
            values.append(y)
          }
          let last = values[values.count - 1]
          let other = values[choices.next(values.count)] * values[values.count - 2]
          let loss = (last * 0.3 + other).sum()
          if choices.next(2) == 0 { kept.append(loss * 2) }
          return [loss] + kept
        }
        return pack + zip(sources, gradients).map { $1 ?? $0.zerosLike() }
      }
    }
    return try results.map { try $0.scalars() } + [v.mean.scalars(), v.variance.scalars()]
  }

  private func agree(_ a: [[Float]], _ b: [[Float]]) -> Bool {
    a.count == b.count
      && zip(a, b).allSatisfy { p, q in
        p.count == q.count
          && zip(p, q).allSatisfy {
            abs($0 - $1) <= 2e-3 * max(1, abs($0), abs($1)) || ($0.isNaN && $1.isNaN)
          }
      }
  }

  @Test(
    "Every plan, cut and read gives what the float64 reference gives", arguments: 0..<8 as Range)
  func agreement(part: Int) throws {
    for seed in UInt64(part) * 25..<UInt64(part + 1) * 25 {
      let reference = try run(seed, .reference, cuts: false, reads: false)
      for option in [Planning.full, .none, .reference] {
        for (cuts, reads) in [(false, false), (true, false), (false, true), (true, true)] {
          let result = try run(seed, option, cuts: cuts, reads: reads)
          #expect(
            agree(reference, result), "seed \(seed), plan \(option), cuts \(cuts), reads \(reads)")
        }
      }
    }
  }
}
