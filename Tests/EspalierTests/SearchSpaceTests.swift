import Testing

@testable import Espalier

private final class Cell: MutableScope {
  let edge: LayerChoice
  let join: InputChoice

  init(_ key: String, names: KeyValuePairs<String, any Layer>? = nil) {
    edge = LayerChoice(names ?? ["a": Scale(1), "b": Scale(2)], key: "edge")
    join = InputChoice(chooseFrom: ["edge", key, InputChoice.noKey], chosenCount: 1)
    super.init(key: key)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    scoped { join([edge(x), x, x * 3]) ?? x }
  }
}

private final class TwoCells: Module, Layer {
  let stem = LayerChoice(["x": Scale(1), "y": Scale(5)])
  let cells: [Cell]

  init(_ cells: [Cell]) { self.cells = cells }
  func callAsFunction(_ x: Tensor) -> Tensor { cells.reduce(stem(x)) { $1($0) } }
}

@Suite("SearchSpace", .seededWeights)
struct SearchSpaceTests {
  private func message(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "no error"
  }

  @Test("Keys are property paths unless given; choices of one key are one choice")
  func keys() throws {
    let model = TwoCells([Cell("first"), Cell("second")])
    let space = try SearchSpace(of: model, input: [2])
    #expect(space.choices.map(\.key) == ["stem", "edge", "cells.0.join", "cells.1.join"])
    #expect(space.choices.map(\.kind) == [.layer, .layer, .input, .input])
    // Shared keys share the decision; automatic ones do not depend on other models of the process.
    let x = try Tensor([1, 1] as [Float], shape: [1, 2])
    let output = try step {
      space.with([
        "stem": .sampled(1), "edge": .sampled(1), "cells.0.join": .sampled(0),
        "cells.1.join": .sampled(0),
      ]) { model(x) }
    }
    #expect(try output.scalars() == [20, 20] as [Float])
    let again = try SearchSpace(of: TwoCells([Cell("first"), Cell("second")]), input: [2])
    #expect(again.choices == space.choices)
  }

  @Test("The same object at two places is one choice and shares weights")
  func sharedObject() throws {
    let choice = LayerChoice(["a": Linear(2, 2), "b": Linear(2, 2)])
    let model = Model(["one": choice, "two": choice]) { choice(choice($0)) }
    #expect(try SearchSpace(of: model, input: [2]).choices.map(\.key) == ["one"])
    #expect(model.parameterCount == 12)
  }

  @Test("Choices of one key that are not alike are an error that names both paths")
  func unequal() throws {
    let others: [(any ModuleMember, String)] = [
      (LayerChoice(["a": Scale(1), "c": Scale(2)], key: "k"), "[\"a\", \"c\"]"),
      (LayerChoice(["a": Scale(1)], key: "k"), "[\"a\"]"),
      (InputChoice(candidateCount: 2, key: "k"), "input"),
    ]
    for (other, part) in others {
      let choice = LayerChoice(["a": Scale(1), "b": Scale(2)], key: "k")
      let model = Model(["left": choice, "right": other]) { choice($0) }
      let text = message { _ = try SearchSpace(of: model, input: [2]) }
      #expect(text.contains("left") && text.contains("right") && text.contains(part), "\(text)")
      #expect(text.contains("key k"), "\(text)")
    }
    let counts = Model([
      "p": InputChoice(candidateCount: 2, chosenCount: 1, key: "k"),
      "q": InputChoice(candidateCount: 2, key: "k"),
    ]) { $0 }
    let text = message { _ = try SearchSpace(of: counts, input: [2]) }
    #expect(text.contains("p and q") && text.contains("chosen 1 and any"), "\(text)")
  }

  @Test("An input choice may only name keys and scopes that come before it")
  func unknownKeys() throws {
    for name in ["nowhere", "later"] {
      let join = InputChoice(chooseFrom: [name])
      let later = LayerChoice([Scale(1)], key: "later")
      let model = Model(["join": join, "end": later]) { join([later($0)]) ?? $0 }
      let text = message { _ = try SearchSpace(of: model, input: [2]) }
      #expect(text.contains(name) && text.contains("join"), "\(text)")
    }
    let later = LayerChoice([Scale(1)], key: "later")
    let join = InputChoice(chooseFrom: ["later", InputChoice.noKey])
    let model = Model(["end": later, "join": join]) { join([later($0), $0]) ?? $0 }
    #expect(try SearchSpace(of: model, input: [2]).choices.count == 2)
  }

  @Test("The guide's 3x3 beside its 5x5 of stride 3 cannot be mixed, and works one path at a time")
  func guideExample() throws {
    let conv = LayerChoice(
      [
        "conv3": Conv2d(1, 32, kernelSize: 3, stride: 1),
        "conv5": Conv2d(1, 32, kernelSize: 5, stride: 3),
      ])
    let head = Linear(32, 10)
    let model = Model(["conv1": conv, "head": head]) { x in
      head(globalAveragePool2d(relu(conv(x))).flattened())
    }
    let space = try SearchSpace(of: model, input: [1, 28, 28])
    let text = message { try space.requireMixable() }
    #expect(text.contains("conv1") && text.contains("conv3 [2, 32, 26, 26]"), "\(text)")
    #expect(text.contains("conv5 [2, 32, 8, 8]"), "\(text)")
    #expect(message { try toyContext(model, space).prepare(DARTS()) } == text)
    let x = try noise([2, 1, 28, 28])
    for index in 0..<2 {
      let output = try step { space.with(["conv1": .sampled(index)]) { model(x) } }
      let expected = try step {
        head(globalAveragePool2d(relu(conv[index](x))).flattened())
      }
      expectClose(try output.scalars(), try expected.scalars())
    }
    let context = try toyContext(model, space)
    let strategy = RandomSearch()
    try context.prepare(strategy)
    let batch = TensorBatch(images: x, labels: try Tensor([1, 7] as [Int32]))
    for number in 0..<4 {
      let result = try step(random: RandomState(seed: 1, step: UInt32(number))) {
        try strategy.step(context, training: batch) { batch }
      }
      #expect(try result.loss.item().isFinite)
    }
  }

  @Test("A choice made in the forward pass is an error that says what it chooses between")
  func stranger() throws {
    let model = Model([:]) { x in
      let inner = LayerChoice(["made": Scale(1), "late": Scale(2)])
      return InputChoice(candidateCount: 1)([inner(x)]) ?? x
    }
    let text = message { _ = try SearchSpace(of: model, input: [2]) }
    #expect(text.contains("forward pass") && text.contains("init"), "\(text)")
    #expect(text.contains("\"made\", \"late\"") && text.contains("InputChoice"), "\(text)")
  }

  @Test("Choices inside candidates have keys of their own and are decided with them")
  func nested() throws {
    let inner = LayerChoice(["p": Scale(3), "q": Scale(7)])
    let outer = LayerChoice(["plain": Scale(2), "deep": Sequential(inner, Scale(10))])
    let model = Model(["outer": outer]) { outer($0) }
    let space = try SearchSpace(of: model, input: [1])
    #expect(space.choices.map(\.key) == ["outer", "outer.deep.0"])
    let x = try Tensor([1] as [Float], shape: [1, 1])
    func output(_ a: Int, _ b: Int) throws -> Double {
      try step { space.with(["outer": .sampled(a), "outer.deep.0": .sampled(b)]) { model(x) } }
        .item()
    }
    #expect(try [output(0, 0), output(1, 0), output(1, 1)] == [2, 30, 70])
    let weights = try Tensor([0.5, 0.25] as [Float])
    let mixed = try step {
      space.with([
        "outer": Decision(.fixed, active: [0, 1], weights: weights),
        "outer.deep.0": Decision(.fixed, active: [0, 1], weights: weights),
      ]) { model(x) }
    }
    // 0.5 · 2 + 0.25 · 10 · (0.5 · 3 + 0.25 · 7).
    #expect(try abs(mixed.item() - 9.125) < 1e-5)
    try model.apply(["outer": .name("deep"), "outer.deep.0": .name("q")])
    #expect(try step { model(x) }.item() == 70)
  }

  @Test("Decisions end with the closure they were made for")
  func cleared() throws {
    let choice = LayerChoice([Scale(2), Scale(3)])
    let model = Model(["c": choice]) { choice($0) }
    let space = try SearchSpace(of: model, input: [1])
    let x = try Tensor([1] as [Float], shape: [1, 1])
    #expect(try space.with(["c": .fixed(1)]) { try model(x).item() } == 3)
    #expect(try model(x).item() == 2)
  }
}
