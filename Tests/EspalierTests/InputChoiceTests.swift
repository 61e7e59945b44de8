import Testing

@testable import Espalier

@Suite("InputChoice", .seededWeights)
struct InputChoiceTests {
  private func inputs() throws -> [Tensor] {
    try [[1, 2], [10, 20], [100, 200]].map { try Tensor($0.map(Float.init), shape: [1, 2]) }
  }

  /// The output for some active inputs, by a fixed or a sampled decision.
  private func run(
    _ choice: InputChoice, active: [Int], _ kind: Decision.Kind = .fixed,
    weights: Tensor? = nil
  ) throws -> (output: [Float]?, mask: [Bool]) {
    let x = try inputs()
    let model = Model(["choice": choice]) { _ in
      choice(Array(x.prefix(choice.count))) ?? x[0]
    }
    let space = try SearchSpace(of: model, input: [2])
    let decision = Decision(kind, active: active, weights: weights)
    return try space.with(["choice": decision]) {
      let (output, mask) = choice.withMask(Array(x.prefix(choice.count)))
      return (try output?.scalars(), mask.flags)
    }
  }

  @Test(
    "Chosen inputs are added, averaged or laid side by side",
    arguments: [Decision.Kind.fixed, .sampled])
  func reductions(kind: Decision.Kind) throws {
    let expected: [(InputChoice.Reduction, [Float])] = [
      (.sum, [101, 202]), (.mean, [50.5, 101]), (.concatenation, [1, 2, 100, 200]),
    ]
    for (reduction, output) in expected {
      let choice = InputChoice(candidateCount: 3, reduction: reduction)
      let result = try run(choice, active: [0, 2], kind)
      expectClose(result.output ?? [], output, relative: 1e-6, "\(reduction)")
      #expect(result.mask == [true, false, true])
    }
  }

  @Test("A single input stays as it is", arguments: [Decision.Kind.fixed, .sampled])
  func single(kind: Decision.Kind) throws {
    for reduction in [InputChoice.Reduction.sum, .mean, .concatenation] {
      let choice = InputChoice(candidateCount: 3, chosenCount: 1, reduction: reduction)
      #expect(try run(choice, active: [1], kind).output == [10, 20])
    }
  }

  @Test("No input gives nil and an empty mask", arguments: [Decision.Kind.fixed, .sampled])
  func none(kind: Decision.Kind) throws {
    let result = try run(InputChoice(candidateCount: 2), active: [], kind)
    #expect(result.output == nil)
    #expect(result.mask == [false, false])
  }

  @Test("All subsets of an any-number choice give the sum of their inputs")
  func anyNumber() throws {
    for subset in 1..<8 {
      let active = (0..<3).filter { subset & (1 << $0) != 0 }
      let sum = active.reduce(Float(0)) { $0 + [1, 10, 100][$1] }
      let choice = InputChoice(candidateCount: 3)
      #expect(try run(choice, active: active, .sampled).output == [sum, 2 * sum])
    }
  }

  @Test("Gates multiply the inputs they belong to")
  func weighted() throws {
    let gates = try Tensor([0.5, 0, 2] as [Float])
    let sum = InputChoice(candidateCount: 3)
    #expect(try run(sum, active: [0, 1, 2], weights: gates).output == [200.5, 401])
    let wide = InputChoice(candidateCount: 3, reduction: .concatenation)
    #expect(try run(wide, active: [0, 1, 2], weights: gates).output == [0.5, 1, 0, 0, 200, 400])
  }

  @Test("Until something is decided the first inputs are taken: as many as must be, else one")
  func defaults() throws {
    let x = try inputs()
    #expect(try numbers(InputChoice(candidateCount: 3, chosenCount: 2)(x)) == [11, 22])
    #expect(try numbers(InputChoice(candidateCount: 3)(x)) == [1, 2])
    #expect(InputChoice(candidateCount: 3, chosenCount: 0)(x) == nil)
    let (output, mask) = InputChoice(candidateCount: 3).withMask(x)
    #expect(try numbers(output) == [1, 2])
    #expect(mask.flags == [true, false, false])
    #expect(
      try InputChoice(candidateCount: 3, chosenCount: 2).chosen(x).map { try numbers($0) }
        == [[1, 2], [10, 20]])
  }

  @Test("Inputs given by name are taken in the order of chooseFrom")
  func byName() throws {
    let x = try inputs()
    let choice = InputChoice(
      chooseFrom: ["b", "a"], chosenCount: 2, reduction: .concatenation)
    #expect(try numbers(choice(["a": x[0], "b": x[1], "unused": x[2]])) == [10, 20, 1, 2])
  }

  @Test("Applied inputs are kept by position, unnamed ones too, and soft ones by their weights")
  func applied() throws {
    let x = try inputs()
    let hard = InputChoice(candidateCount: 3, key: "k")
    // Every unnamed input has the same name; NNI took the first one for each of them.
    try hard.apply(["k": .indices([1, 2])])
    #expect(try numbers(hard(x)) == [110, 220])
    let soft = InputChoice(candidateCount: 3, key: "k")
    try soft.apply(["k": .weights([0.5, 0, 2])])
    let (output, mask) = soft.withMask(x)
    #expect(try numbers(output) == [200.5, 401])
    #expect(mask.flags == [true, false, true])
    let none = InputChoice(candidateCount: 3, key: "k")
    try none.apply(["k": .none])
    #expect(none(x) == nil)
  }

  @Test(
    "A choice of several inputs side by side passes the shape check, and is refused by a mixture")
  func concatenationOfSome() throws {
    let choice = InputChoice(candidateCount: 3, chosenCount: 2, reduction: .concatenation)
    let head = Conv2d(4, 3, kernelSize: 1)
    let model = Model(["choice": choice, "head": head]) { x in
      head(choice([x, x * 2, x * 3]) ?? x)
    }
    let space = try SearchSpace(of: model, input: [2, 4, 4])
    let error = #expect(throws: SpaceError.self) { try space.requireMixable() }
    #expect(error.map { "\($0)".contains("choice") && "\($0)".contains("[2, 6, 4, 4]") } == true)
    let x = try noise([1, 2, 4, 4])
    let output = try step {
      space.with(["choice": Decision(.sampled, active: [0, 2])]) { model(x) }
    }
    let expected = try step { head(concatenate([x, x * 3])) }
    expectClose(try output.scalars(), try expected.scalars())
    // All of all is no matter of channels.
    let all = InputChoice(candidateCount: 2, chosenCount: 2, reduction: .concatenation)
    let wide = Model(["all": all, "head": head]) { x in head(all([x, x]) ?? x) }
    try SearchSpace(of: wide, input: [2, 4, 4]).requireMixable()
  }
}
