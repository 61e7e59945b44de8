import Testing

@testable import EspalierTensor

@Suite("What a choice hands on unchanged, or leaves out, costs nothing")
struct ShortcutTests {
  private enum Candidate: CaseIterable {
    case skip, none, positive, double

    func callAsFunction(_ x: Tensor) -> Tensor {
      switch self {
      case .skip: x
      case .none: x.zerosLike()
      case .positive: relu(x)
      case .double: x + x
      }
    }
  }

  private static func choose(_ candidate: Candidate, _ key: String, _ x: Tensor) -> Tensor {
    ChoiceMarks.begin(key: key, inputs: [x])
    let y = ChoiceMarks.leave(candidate(x), carriesGradient: true)
    ChoiceMarks.end(key: key)
    return y
  }

  private func launches(_ body: () throws -> Void) rethrows -> Int {
    let before = EngineStatistics.threadCounters.launches
    try body()
    return EngineStatistics.threadCounters.launches - before
  }

  @Test("Paths of skips, zeros and operations agree with the plain plan, in any order of steps")
  func agreement() throws {
    let x = try Tensor((0..<24).map { Float($0 % 7) - 3 }, shape: [1, 4, 2, 3])
    let weights = try Tensor([1, 2, -1] as [Float])
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<60 {
      let path = (0..<6).map { _ in Candidate.allCases.randomElement(using: &generator) ?? .skip }
      func run() throws -> [[Float]] {
        let (pack, gradients) = try valueAndGradient(wrt: [x, weights]) { () -> [Tensor] in
          func choose(_ k: Int, _ x: Tensor) -> Tensor {
            ShortcutTests.choose(path[k], "edge\(k)", x)
          }
          let a = addAll([choose(0, x), choose(1, x)])
          let b = weightedSum([choose(2, a), choose(3, a), a], weights: weights)
          let c = choose(5, choose(4, b))
          return [(c * 2 + a).sum(), c]
        }
        return try pack.map { try $0.scalars() } + gradients.map { try $0?.scalars() ?? [] }
      }
      let expected = try Planning.$option.withValue(.none) { try run() }
      #expect(try run() == expected, "path \(path)")
    }
  }

  @Test("A skip runs nothing, forward or backward")
  func skip() throws {
    let x = try Tensor((0..<24).map { Float($0 % 7) - 3 }, shape: [1, 4, 2, 3])
    func forward(_ candidates: [Candidate]) throws -> Int {
      try launches {
        _ = try step {
          var y = relu(x)
          for (k, candidate) in candidates.enumerated() {
            y = ShortcutTests.choose(candidate, "edge\(k)", y)
          }
          return exp(y)
        }
      }
    }
    #expect(try forward([]) == 2)
    #expect(try forward([.skip, .skip]) == 2)
    #expect(try forward([.skip, .double, .skip]) == 3)
    func both(_ candidates: [Candidate]) throws -> Int {
      try launches {
        _ = try valueAndGradient(wrt: [x]) { () -> Tensor in
          var y = relu(x)
          for (k, candidate) in candidates.enumerated() {
            y = ShortcutTests.choose(candidate, "edge\(k)", y)
          }
          return square(y).sum()
        }
      }
    }
    #expect(try both([.skip, .skip, .skip]) == both([.skip]))
  }

  @Test("A sum skips what was left out")
  func none() throws {
    let x = try Tensor((0..<24).map { Float($0 % 7) - 3 }, shape: [1, 4, 2, 3])
    var sum: Tensor?
    let count = try launches {
      sum = try step {
        let y = relu(x)
        return addAll([
          ShortcutTests.choose(.none, "a", y), ShortcutTests.choose(.skip, "b", y), y,
        ])
      }
    }
    #expect(count == 2)
    #expect(try sum?.scalars() == x.scalars().map { 2 * max($0, 0) })
  }

  private static func checkAbsentIsNotRead() throws {
    let x = try Tensor((0..<24).map { Float($0 % 7) - 3 }, shape: [1, 4, 2, 3])
    let shift = try Tensor([1, 2, 3, 4] as [Float], shape: [1, 4, 1, 1])
    let whole = try Tensor((0..<24).map { Int32($0) }, shape: [1, 4, 2, 3])
    func run() throws -> [[Double]] {
      let (pack, gradients) = try valueAndGradient(wrt: [x]) { () -> [Tensor] in
        // No gradient comes back through the first of two results.
        let (unused, used) = (x + shift, x + shift * 2)
        let doubled = choose(.double, "b", used)
        let sum = choose(.none, "a", unused) + doubled + choose(.none, "c", used)
        let integers = whole + choose(.none, "d", whole)
        return [
          (sum * doubled).sum(), sum, addAll([choose(.none, "e", x), batchNorm(sum)]), integers,
        ]
      }
      return try pack.map { try $0.numbers() } + gradients.map { try $0?.numbers() ?? [] }
    }
    let expected = try Planning.$option.withValue(.none) { try run() }
    guard try run() == expected else { throw Unexpected(text: "not as planned plainly") }
    // From here on a zero that is read is not a number.
    let zeros = try Engine.shared.zeroPage(24 * 4, Device.current)
    let page = [Float](repeating: .nan, count: zeros.byteCount / 4)
    try page.withUnsafeBytes { bytes in
      try Engine.shared.backend(Device.current).write(
        bytes, to: Slice(buffer: zeros, byteOffset: 0))
    }
    guard try run() == expected else { throw Unexpected(text: "an absent tensor was read") }
  }

  @Test("Adding what was left out reads nothing of it, forward or backward")
  func absentIsNotRead() async {
    await #expect(processExitsWith: .success) { try ShortcutTests.checkAbsentIsNotRead() }
  }

  @Test("Nor on OpenCL", .needsOpenCL)
  func absentIsNotReadOnOpenCL() async {
    await #expect(processExitsWith: .success) {
      try OpenCL.run { try ShortcutTests.checkAbsentIsNotRead() }
    }
  }

  @Test("What outlives the flush is a copy, also of a variable that is then assigned")
  func outliving() throws {
    let variable = try Variable([1, 2, 3] as [Float], shape: [3])
    let x = try Tensor([4, 5, 6] as [Float])
    let kept = try step {
      [
        ShortcutTests.choose(.skip, "a", variable.tensor), ShortcutTests.choose(.skip, "b", x),
        ShortcutTests.choose(.none, "c", x),
        ShortcutTests.choose(.skip, "e", ShortcutTests.choose(.skip, "d", variable.tensor)) * 2,
      ]
    }
    try variable.assign([7, 8, 9] as [Float])
    #expect(
      try kept.map { try $0.scalars() } == [[1, 2, 3], [4, 5, 6], [0, 0, 0], [2, 4, 6]])
  }

  @Test("What a choice hands on of a variable stays what it was when an update follows")
  func updatedInPlace() throws {
    let x = try Tensor((0..<24).map { Float($0) }, shape: [2, 3, 2, 2])
    let running = (
      mean: try Variable([1, 2, 3] as [Float], shape: [3]),
      variance: try Variable([1, 1, 1] as [Float], shape: [3])
    )
    let kept = try step { () -> Tensor in
      let left = ShortcutTests.choose(.skip, "a", running.mean.tensor)
      let y = ShortcutTests.choose(.double, "b", batchNorm(x, running: running))
      _ = ShortcutTests.choose(.positive, "c", y)
      return left * 2
    }
    #expect(try kept.scalars() == [2, 4, 6])
    #expect(try running.mean.scalars() != [1, 2, 3])
  }
}
