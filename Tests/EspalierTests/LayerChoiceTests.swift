import Testing

@testable import Espalier

/// A candidate that is exactly zero and should never be asked.
private final class CountedZero: Module, ZeroLayer {
  var calls = 0
  func callAsFunction(_ x: Tensor) -> Tensor {
    calls += 1
    return x.zerosLike()
  }
}

@Suite("LayerChoice", .seededWeights)
struct LayerChoiceTests {
  private func decide(
    _ choice: LayerChoice, _ x: Tensor, _ decision: Decision
  ) throws -> (output: [Float], mask: [Bool]) {
    let space = try SearchSpace(of: choice, input: Shape(Array(x.shape.dimensions.dropFirst())))
    for case let scale as Scale in choice.candidates.map(\.layer) { scale.calls = 0 }
    for case let zero as CountedZero in choice.candidates.map(\.layer) { zero.calls = 0 }
    let key = try #require(space.choices.first).key
    return try space.with([key: decision]) {
      let (output, mask) = choice.withMask(x)
      return (try output.scalars(), mask.flags)
    }
  }

  @Test("A list is a collection: count, positions from both ends, names, slices, replacement")
  func collection() {
    let layers = [Scale(1), Scale(2), Scale(3)]
    let choice = LayerChoice(layers)
    #expect(choice.count == 3)
    #expect(choice.names == ["0", "1", "2"])
    #expect(choice[0] === layers[0] && choice[-1] === layers[2] && choice[-3] === layers[0])
    #expect(choice["1"] === layers[1])
    let slice = choice[1..<3]
    #expect(slice.count == 2 && slice[0] === layers[1] && slice[1] === layers[2])
    let other = Scale(4)
    choice[1] = other
    #expect(choice[1] === other && choice.names == ["0", "1", "2"])
    choice[-1] = layers[0]
    #expect(choice["2"] === layers[0])
    choice["0"] = layers[2]
    #expect(choice[0] === layers[2])
  }

  @Test("Removing a candidate leaves the others their names: 0 and 2 of a list of three")
  func removal() {
    let choice = LayerChoice([Scale(1), Scale(2), Scale(3)])
    choice.remove(at: 1)
    #expect(choice.names == ["0", "2"])
    let named = LayerChoice(["conv1": Scale(1), "conv2": Scale(2), "conv3": Scale(3)])
    named.remove("conv2")
    #expect(named.names == ["conv1", "conv3"])
    named.remove(at: -1)
    #expect(named.names == ["conv1"])
    let range = LayerChoice([Scale(1), Scale(2), Scale(3), Scale(4)])
    range.remove(1..<3)
    #expect(range.names == ["0", "3"])
  }

  @Test("Appended and inserted candidates get a free name, or the one given")
  func growth() {
    let choice = LayerChoice([Scale(1), Scale(2), Scale(3)])
    choice.remove(at: 0)
    choice.append(Scale(5))
    #expect(choice.names == ["1", "2", "3"])
    choice.insert(Scale(6), at: 0, name: "new")
    choice.append(Scale(7))
    #expect(choice.names == ["new", "1", "2", "3", "4"])
  }

  @Test("Until something is decided the first candidate runs, alone")
  func firstByDefault() throws {
    let layers = [Scale(2), Scale(3)]
    let choice = LayerChoice(layers)
    let x = try Tensor([1, -1] as [Float], shape: [1, 2])
    let (output, mask) = choice.withMask(x)
    #expect(try output.scalars() == [2, -2] as [Float])
    #expect(mask == ChoiceMask([true, false]))
    #expect(layers.map(\.calls) == [1, 0])
  }

  @Test("A mixture is the sum of weight times output, wherever its weights begin in the vector")
  func mixture() throws {
    let choice = LayerChoice([Scale(1), Scale(10), Scale(100)])
    let x = try Tensor([1, 2] as [Float], shape: [1, 2])
    let weights = try Tensor([9, 9, 0.5, 0.25, 2] as [Float])
    let all = try decide(
      choice, x, Decision(.fixed, active: [0, 1, 2], weights: weights, weightOffset: 2))
    #expect(all.output == [203, 406])
    #expect(all.mask == [true, true, true])
    let unweighted = LayerChoice([Scale(1), Scale(10), Scale(100)])
    #expect(try decide(unweighted, x, Decision(.fixed, active: [0, 2])).output == [101, 202])
  }

  @Test("Candidates that are not active, and such as are exactly zero, are not computed")
  func notComputed() throws {
    let (scale, idle, zero) = (Scale(2), Scale(3), CountedZero())
    let choice = LayerChoice(["zero": zero, "scale": scale, "idle": idle])
    let x = try Tensor([1, 2] as [Float], shape: [1, 2])
    let weights = try Tensor([0.5, 0.25, 0.25] as [Float])
    let result = try decide(choice, x, Decision(.fixed, active: [0, 1], weights: weights))
    #expect(result.output == [0.5, 1])
    #expect(result.mask == [true, true, false])
    #expect((zero.calls, scale.calls, idle.calls) == (0, 1, 0))
    // With nothing else active the zero still gives its output the right shape.
    let alone = LayerChoice(["zero": CountedZero(), "scale": Scale(2)])
    #expect(try decide(alone, x, .sampled(0)).output == [0, 0])
  }

  @Test("A sampled candidate gives what it gives alone, and its gradient flows")
  func sampled() throws {
    let layers = [Linear(2, 2), Linear(2, 2)]
    let choice = LayerChoice(layers)
    let x = try noise([3, 2])
    #expect(
      try decide(choice, x, .sampled(1)).output == (try step { layers[1](x) }.scalars()))
    let space = try SearchSpace(of: choice, input: [2])
    let weights = layers.map(\.weight.variable)
    let key = space.choices[0].key
    let gradients = try valueAndGradient(wrt: weights) {
      space.with([key: .sampled(1)]) { choice(x).sum() }
    }.gradients
    #expect(gradients[weights[0]] == nil)
    let column = try x.sum(axes: [0]).scalars() as [Float]
    expectClose(try numbers(gradients[weights[1]]), column + column)
  }

  @Test("Masks combine by or, and, not, and pick from lists")
  func masks() {
    let (a, b) = (ChoiceMask([true, false, false]), ChoiceMask([true, true, false]))
    #expect((a | b).flags == [true, true, false])
    #expect((a & b).flags == [true, false, false])
    #expect((~a).flags == [false, true, true])
    #expect((~b).select(["x", "y", "z"]) == ["z"])
  }

  @Test("An applied choice still gives a mask over all that it could choose from")
  func maskOfApplied() throws {
    let choice = LayerChoice(["a": Scale(1), "b": Scale(2), "c": Scale(3)], key: "k")
    try choice.apply(["k": .name("c")])
    let (output, mask) = choice.withMask(try Tensor([1] as [Float], shape: [1, 1]))
    #expect(try output.scalars() == [3] as [Float])
    #expect(mask.flags == [false, false, true])
  }
}
