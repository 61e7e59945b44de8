import EspalierTensor
import Testing

@Suite("Random numbers and dropout")
struct RandomTests {
  private func draw(
    _ seed: UInt64 = 42, step number: UInt32 = 7, _ body: @escaping () -> [Tensor]
  ) throws -> [Tensor] {
    try step(random: RandomState(seed: seed, step: number), body)
  }

  @Test("Uniform numbers are the words of Philox 4x32-10")
  func philox() throws {
    for (seed, number) in [(UInt64(0), UInt32(0)), (0x1234_5678_9ABC_DEF0, 3)] {
      let found = try draw(seed, step: number) {
        [.uniform([11]), .uniform([2, 5, 3, 1]), .uniform([9], dtype: .float64)]
      }
      for (index, tensor) in found.enumerated() {
        let expected = (0..<tensor.shape.count).map { element -> Double in
          let words = philox4x32(
            counter: [UInt32(element / 4), 0, UInt32(index), number],
            key: [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)])
          return Double(words[element % 4] >> 8) * 0x1p-24
        }
        // Images take the words in the order of memory; this one has a single column of pixels.
        let numbers =
          tensor.rank == 4 ? try tensor.permuted([0, 2, 3, 1]).numbers() : try tensor.numbers()
        #expect(numbers == expected)
      }
    }
  }

  @Test("The test's own Philox gives the published vectors")
  func published() {
    #expect(
      philox4x32(counter: [0, 0, 0, 0], key: [0, 0])
        == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
    let ones = [UInt32](repeating: .max, count: 4)
    #expect(
      philox4x32(counter: ones, key: [.max, .max])
        == [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD])
  }

  @Test(
    "Uniform, normal and Gumbel numbers have their moments", arguments: [DType.float32, .float64])
  func moments(_ dtype: DType) throws {
    let n = 40_000
    let found = try draw {
      [.uniform([n], dtype: dtype), .normal([n], dtype: dtype), .gumbel([n], dtype: dtype)]
    }
    // Mean, standard deviation; the mean of n draws is off by 5 of its own deviations at most.
    let means: [Double] = [0.5, 0, 0.577_215_66]
    let deviations: [Double] = [0.288_675_13, 1, 1.282_549_83]
    for (index, tensor) in found.enumerated() {
      let (mean, deviation) = (means[index], deviations[index])
      let x: [Double] = try tensor.numbers()
      let average = x.reduce(0, +) / Double(n)
      let variance = x.map { ($0 - average) * ($0 - average) }.reduce(0, +) / Double(n)
      let error = Swift.abs(average - mean)
      let allowed = 5 * deviation / Double(n).squareRoot()
      #expect(error < allowed)
      let ratio = variance.squareRoot() / deviation
      #expect(ratio > 0.97 && ratio < 1.03)
      #expect(x.allSatisfy { $0.isFinite })
    }
    let uniform = try found[0].numbers()
    #expect(uniform.allSatisfy { $0 >= 0 && $0 < 1 })
    // Tenths hold 4,000 each; 5 deviations are 300.
    for tenth in 0..<10 {
      let count = uniform.filter { Int($0 * 10) == tenth }.count
      #expect(Swift.abs(count - n / 10) < 300)
    }
    let normal = try found[1].numbers()
    let within = normal.filter { Swift.abs($0) < 1 }.count
    #expect(Swift.abs(Double(within) / Double(n) - 0.6827) < 0.012)
  }

  @Test("The same step draws the same numbers; seed, step and position change them")
  func repeatable() throws {
    let body = { [Tensor.uniform([16]), Tensor.uniform([16])] }
    let first = try draw(1, step: 1, body).map { try $0.numbers() }
    #expect(try draw(1, step: 1, body).map { try $0.numbers() } == first)
    #expect(first[0] != first[1])
    #expect(try draw(2, step: 1, body)[0].numbers() != first[0])
    #expect(try draw(1 << 40 + 1, step: 1, body)[0].numbers() != first[0])
    #expect(try draw(1, step: 2, body)[0].numbers() != first[0])
  }

  @Test("A read in the middle of a step changes no random number")
  func read() throws {
    let random = RandomState(seed: 5, step: 9)
    let plain = try step(random: random) { [Tensor.normal([8]), Tensor.normal([8])] }
    let withRead = try step(random: random) { () -> [Tensor] in
      let a = Tensor.normal([8])
      _ = try a.scalars()
      return [a, Tensor.normal([8])]
    }
    #expect(try plain.map { try $0.numbers() } == withRead.map { try $0.numbers() })
  }

  @Test(
    "Dropout zeroes units with its probability, scales the rest, and its gradient is the mask",
    arguments: [DropoutUnit.element, .channel, .sample], [Float(0), 0.3, 0.75])
  func dropoutMask(_ unit: DropoutUnit, _ p: Float) throws {
    let shape: Shape = [64, 32, 3, 2]
    let x = try Tensor([Float](repeating: 2, count: shape.count), shape: shape)
    let (y, gradients) = try step(random: RandomState(seed: 3)) { () -> [Tensor] in
      let (pack, gradients) = try valueAndGradient(wrt: [x]) { () -> [Tensor] in
        let y = dropout(x, p, unit: unit)
        return [y.sum(), y]
      }
      return [pack[1], try #require(gradients[0])]
    }.pair()
    let kept = Double(1 / (1 - p))
    #expect(y.allSatisfy { $0 == 0 || Swift.abs($0 - 2 * kept) < 1e-6 })
    #expect(zip(y, gradients).allSatisfy { Swift.abs($0 - 2 * $1) < 1e-6 })
    let size = unit == .element ? 1 : unit == .channel ? 6 : 192
    let units = stride(from: 0, to: y.count, by: size).map { Array(y[$0..<$0 + size]) }
    #expect(units.allSatisfy { Set($0).count == 1 })
    let dropped = Double(units.filter { $0[0] == 0 }.count) / Double(units.count)
    let deviation = (Double(p) * Double(1 - p) / Double(units.count)).squareRoot()
    #expect(Swift.abs(dropped - Double(p)) <= 4 * deviation)
  }

  @Test("Dropout does nothing in evaluation, and a schedule of its rate needs no new plan")
  func dropoutMode() throws {
    let x = try Tensor([Float](repeating: 1, count: 8))
    let y = try Mode.with(.evaluation) { try step { dropout(x, 0.5) } }
    #expect(try y.scalars() == [Float](repeating: 1, count: 8))
    #expect(try step { dropout(x, 0) }.scalars() == [Float](repeating: 1, count: 8))
  }
}

extension [Tensor] {
  fileprivate func pair() throws -> ([Double], [Double]) {
    (try self[0].numbers(), try self[1].numbers())
  }
}

/// Philox 4x32-10 as in Salmon et al., SC 2011.
private func philox4x32(counter: [UInt32], key: [UInt32]) -> [UInt32] {
  var c = counter
  var k = key
  for _ in 0..<10 {
    let p = UInt64(0xD251_1F53) * UInt64(c[0])
    let q = UInt64(0xCD9E_8D57) * UInt64(c[2])
    c = [
      UInt32(q >> 32) ^ c[1] ^ k[0], UInt32(truncatingIfNeeded: q),
      UInt32(p >> 32) ^ c[3] ^ k[1], UInt32(truncatingIfNeeded: p),
    ]
    k[0] &+= 0x9E37_79B9
    k[1] &+= 0xBB67_AE85
  }
  return c
}
