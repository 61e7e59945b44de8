import Testing

@testable import EspalierTensor

@Suite("Gradients of the user's own")
struct CustomGradientTests {
  private let x: Tensor
  private let y: Tensor

  init() throws {
    x = try Tensor([1, -2, 3] as [Double])
    y = try Tensor([0.5, 4, -1] as [Double])
  }

  @Test("The value stays and the gradient is the pullback's")
  func pullback() throws {
    let found = try valueAndGradient(wrt: [x, y]) { () -> [Tensor] in
      let z = withGradient(of: x * y, wrt: [x, y]) { upstream in [upstream * 10, nil] }
      return [(z * 2).sum(), z]
    }
    #expect(try found.value[1].numbers() == [0.5, -8, -3])
    #expect(try found.gradients[0]?.numbers() == [20, 20, 20])
    #expect(found.gradients[1]?.shape == nil)
  }

  @Test("The pullback may use captured tensors, of the closure and from outside")
  func captured() throws {
    let found = try valueAndGradient(wrt: [x, y]) { () -> Tensor in
      let inner = exp(x)
      let z = withGradient(of: inner + y, wrt: [x, y]) { upstream in
        [upstream * inner * y, upstream * square(x)]
      }
      return z.sum()
    }
    let (a, b) = (try x.numbers(), try y.numbers())
    let expected = try step { exp(x) * y }.numbers()
    let message = disagreement(try found.gradients[0]?.numbers() ?? [], expected, "x") {
      1e-14 * Swift.abs(expected[$0])
    }
    #expect(message == nil)
    #expect(try found.gradients[1]?.numbers() == a.map { $0 * $0 })
    #expect(b.count == 3)
  }

  @Test("Clipped gradients and straight-through estimators work through it")
  func straightThrough() throws {
    let found = try valueAndGradient(wrt: [x]) { () -> Tensor in
      let hard = withGradient(of: sign(x), wrt: [x]) { [clamp($0, Float(-1), Float(1))] }
      return (hard * y * 3).sum()
    }
    #expect(try found.value.item() == 3 * (0.5 - 4 - 1))
    #expect(try found.gradients[0]?.numbers() == [1, 1, -1])
  }

  @Test("A float of the pullback is data: each step uses its own")
  func scalars() throws {
    for factor in [1, 2, -3] as [Double] {
      let found = try step { () -> [Tensor] in
        let found = try valueAndGradient(wrt: [x]) {
          withGradient(of: x, wrt: [x]) { [$0 * factor + (factor + 1)] }.sum()
        }
        return [try #require(found.gradients[0])]
      }
      #expect(try found[0].numbers() == [Double](repeating: 2 * factor + 1, count: 3))
    }
  }

  @Test("It is differentiable again, as its pullback is")
  func twice() throws {
    let found = try valueAndGradient(wrt: [x]) { () -> Tensor in
      let inner = try valueAndGradient(wrt: [x]) {
        withGradient(of: x, wrt: [x]) { [$0 * square(x)] }.sum()
      }
      return try #require(inner.gradients[0]).sum()
    }
    #expect(try found.gradients[0]?.numbers() == [2, -4, 6])
  }

  @Test("Each evaluation of a pullback stands alone: nothing of it is merged or moved together")
  func barriers() async {
    await #expect(processExitsWith: .success) {
      let x = try Tensor([1, -2, 3] as [Float])
      let c = try Tensor([0.5, 0, 1] as [Float])
      let found = try valueAndGradient(wrt: [x]) { () -> Tensor in
        let a = withGradient(of: x, wrt: [x]) { [$0 * exp(c)] }
        let b = withGradient(of: x, wrt: [x]) { [$0 * exp(c)] }
        return (a + b).sum()
      }
      let factors = try (exp(c) * 2).scalars()
      guard try found.gradients[0]?.scalars() == factors else { throw Failure() }
      let names = Engine.shared.plans.values.compactMap { $0.backward?.names }
      guard names.count == 1,
        names[0].filter({ $0 == "unary" || $0 == "binary" })
          == ["unary", "binary", "unary", "binary"]
      else { throw Failure() }
    }
  }
}
