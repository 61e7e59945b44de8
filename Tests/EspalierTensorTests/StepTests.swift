import EspalierTensor
import Testing

@Suite("What a step and a read mean")
struct StepTests {
  @Test("Reading inside a step gives the value and leaves later results right")
  func readInside() throws {
    let x = try Tensor([1, 2, 3] as [Float])
    var seen: [Float] = []
    let y = try step { () -> Tensor in
      let a = x * 2
      let b = a + 1
      seen = try b.scalars()
      return a * b
    }
    #expect(seen == [3, 5, 7])
    #expect(try y.scalars() == [6, 20, 42])
  }

  @Test("Reading inside a gradient closure gives the value and leaves the gradient right")
  func readInsideGradient() throws {
    let x = try Tensor([1, 2, 3] as [Double])
    var seen: [Double] = []
    let body = { () -> Tensor in
      let a = square(x)
      seen = try a.scalars(as: Double.self)
      // What is decided by a value that was read is a constant of the gradient.
      return seen[2] > 5 ? (a * x).sum() : a.sum()
    }
    let outside = try valueAndGradient(wrt: [x], body)
    #expect(seen == [1, 4, 9])
    #expect(try outside.value.item() == 36)
    #expect(try outside.gradients[0]?.numbers() == [3, 12, 27])
    let inside = try step { () -> [Tensor] in
      let found = try valueAndGradient(wrt: [x], body)
      return [found.value, try #require(found.gradients[0])]
    }
    #expect(try inside[0].item() == 36)
    #expect(try inside[1].numbers() == [3, 12, 27])
  }

  @Test("Two gradients in one step do not disturb each other")
  func twoGradients() throws {
    let x = try Tensor([1, 2] as [Double])
    let results = try step { () -> [Tensor] in
      let first = try valueAndGradient(wrt: [x]) { square(x).sum() }
      let second = try valueAndGradient(wrt: [x]) { (x * x * x).sum() }
      return [
        try #require(first.gradients[0]), try #require(second.gradients[0]), first.value,
        second.value,
      ]
    }
    #expect(try results.map { try $0.numbers() } == [[2, 4], [3, 12], [5], [9]])
  }

  @Test("Work of a step before a gradient is a constant or a path, as the sources say")
  func beforeGradient() throws {
    let x = try Tensor([1, 2] as [Double])
    let results = try step { () -> [Tensor] in
      let scale = exp(x)
      let found = try valueAndGradient(wrt: [x]) { (scale * x).sum() }
      return [try #require(found.gradients[0]), scale]
    }
    #expect(try results[0].numbers() == results[1].numbers())
  }

  @Test("A source that the loss does not use has no gradient; one used twice gets the sum")
  func unused() throws {
    let x = try Tensor([1, 2] as [Double])
    let y = try Tensor([3, 4] as [Double])
    let found = try valueAndGradient(wrt: [x, y]) { (x + x * 3).sum() }
    #expect(try found.gradients[0]?.numbers() == [4, 4])
    #expect(found.gradients[1]?.shape == nil)
    let constant = try valueAndGradient(wrt: [x]) { y.sum() }
    #expect(constant.gradients[0]?.shape == nil)
    #expect(try constant.value.item() == 7)
  }

  @Test("The loss itself may be a source's element")
  func identity() throws {
    let x = try Tensor([5] as [Double])
    let found = try valueAndGradient(wrt: [x]) { x.reshaped(to: Shape([])) }
    #expect(try found.gradients[0]?.numbers() == [1])
  }

  @Test("Gradients towards variables carry their values, also of convolution weights")
  func variables() throws {
    let weight = try Variable(
      (0..<24).map { Double($0) / 8 }, shape: [2, 3, 2, 2], isConvolutionWeight: true)
    let plain = try Tensor((0..<24).map { Double($0) / 8 }, shape: [2, 3, 2, 2])
    let x = try Tensor((0..<48).map { Double($0 % 7) }, shape: [1, 3, 4, 4])
    let body = { (w: Tensor) in (square(conv2d(x, w * 2 + w))).sum() + w.sum() }
    let (loss, gradients) = try valueAndGradient(wrt: [weight]) { body(weight.tensor) }
    let expected = try valueAndGradient(wrt: [plain]) { body(plain) }
    #expect(try loss.item() == expected.value.item())
    #expect(gradients.count == 1)
    #expect(try gradients[weight]?.numbers() == expected.gradients[0]?.numbers())
    #expect(try weight.scalars(as: Double.self) == plain.numbers())
    #expect(try weight.tensor.reshaped(to: [24]).numbers() == plain.numbers())
    let exchanged = try plain.permuted([1, 0, 3, 2]).numbers()
    #expect(try weight.tensor.permuted([1, 0, 3, 2]).numbers() == exchanged)
  }

  @Test("An assigned variable has its new value and a snapshot keeps the old one")
  func assignment() throws {
    let variable = try Variable([1, 2] as [Float], shape: [2])
    let old = try variable.tensor.snapshot()
    try variable.assign([3, 4] as [Float])
    #expect(try variable.scalars() == [3, 4])
    #expect(try old.scalars() == [1, 2])
  }

  @Test("Packs of optionals and dictionaries keep their tensors")
  func packs() throws {
    let x = try Tensor([1, 2] as [Float])
    let named = try step { ["a": x + 1, "b": x * 2] }
    #expect(try named["a"]?.scalars() == [2, 3])
    #expect(try named["b"]?.scalars() == [2, 4])
    let maybe: Tensor? = try step { Optional(x + 5) }
    #expect(try maybe?.scalars() == [6, 7])
    #expect(try step { nil as Tensor? }?.shape == nil)
  }

  @Test("Outside a step every value that is held can be read, in any order")
  func immediate() throws {
    let x = try Tensor([1, 2] as [Float])
    let a = x + 1
    let b = a * a
    #expect(try b.scalars() == [4, 9])
    #expect(try a.scalars() == [2, 3])
    #expect(try (a + b).scalars() == [6, 12])
  }

  @Test("Host order and logical order describe the same image")
  func hostOrder() throws {
    let logical = try Tensor([1, 2, 3, 4, 5, 6, 7, 8] as [Float], shape: [1, 2, 2, 2])
    let image = try Tensor(
      [1, 5, 2, 6, 3, 7, 4, 8] as [Float], shape: [1, 2, 2, 2], order: .channelsLast)
    #expect(try image.scalars() == logical.scalars())
  }

  @Test("A long immediate record is flushed on its way")
  func longRecord() throws {
    var x = try Tensor([0] as [Float])
    for _ in 0..<70_000 { x = x + 1 }
    #expect(try x.item() == 70_000)
  }

  @Test("A step that throws leaves nothing behind: its updates do not run in a later one")
  func thrownStep() throws {
    let x = try Tensor((0..<24).map { Float($0) }, shape: [2, 3, 2, 2])
    let running = (
      mean: try Variable([0, 0, 0] as [Float], shape: [3]),
      variance: try Variable([1, 1, 1] as [Float], shape: [3])
    )
    #expect(throws: Failure.self) {
      try step { () -> [Tensor] in
        _ = batchNorm(x, running: running)
        throw Failure()
      }
    }
    #expect(try step { x + 1 }.scalars()[23] == 24)
    #expect(try running.mean.scalars() == [0, 0, 0])
    try step { _ = batchNorm(x, running: running) }
    #expect(try running.mean.scalars() != [0, 0, 0])
  }

  @Test("Reads along a step, and what they leave to compute, agree with one flush at the end")
  func manyReads() throws {
    let x = try Tensor((0..<8).map { Float($0) - 3 })
    func run(reading: Bool) throws -> (last: [Float], seen: [Float]) {
      var seen: [Float] = []
      let last = try step { () -> Tensor in
        var y = x
        var early = x
        for round in 0..<20 {
          y = relu(y * 0.5 + x) - early * Float(round)
          if round == 3 { early = exp(y * 0.01) }
          if reading && round % 4 == 1 { seen += try y.scalars() }
        }
        return y + early
      }
      return (try last.scalars(), seen)
    }
    let (whole, parts) = (try run(reading: false), try run(reading: true))
    #expect(parts.seen.count == 40)
    #expect(whole.last == parts.last)
  }
}
