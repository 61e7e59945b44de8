import Foundation
import Testing

@testable import Espalier

/// A call that must trap, and what its message must say.
private struct Trap: Sendable {
  let name: String
  let message: [String]
  let call: @Sendable () throws -> Void

  init(_ name: String, _ message: [String], _ call: @escaping @Sendable () throws -> Void) {
    self.name = name
    self.message = message
    self.call = call
  }

  static let all: [Trap] = [
    Trap("DARTS that was not prepared", ["DARTS: prepare"]) { _ = try DARTS().architecture() },
    Trap("a random search that was not prepared", ["RandomSearch: prepare"]) {
      _ = try RandomSearch().probabilities()
    },
    Trap("no candidates", ["no candidates"]) { _ = LayerChoice([]) },
    Trap("equal names", ["\"a\", \"b\", \"a\"", "distinct"]) {
      LayerChoice(["a": Identity(), "b": Identity()]).append(Identity(), name: "a")
    },
    Trap("an empty name", ["distinct"]) { _ = LayerChoice(["": Identity()]) },
    Trap("the last candidate removed", ["no candidates"]) {
      LayerChoice([Identity()]).remove(at: 0)
    },
    Trap("a position that is none", ["candidate 2 of 2"]) {
      _ = LayerChoice([Identity(), Identity()])[2]
    },
    Trap("a position before the first", ["candidate -3 of 2"]) {
      _ = LayerChoice([Identity(), Identity()])[-3]
    },
    Trap("a name that is none", ["no candidate c", "\"a\""]) {
      _ = LayerChoice(["a": Identity()])["c"]
    },
    Trap("a candidate added to a choice of a space", ["fixed", "c"]) {
      let choice = LayerChoice([Identity()])
      let model = Model(["c": choice]) { choice($0) }
      let space = try SearchSpace(of: model, input: [1])
      choice.append(Identity())
      _ = space
    },
    Trap("pruned twice", ["LayerChoice", "applied already"]) {
      let choice = LayerChoice(["a": Identity(), "b": Identity()], key: "k")
      try choice.apply(["k": .name("b")])
      choice.apply(ResolvedChoice(active: [0]))
    },
    Trap("an input choice pruned twice", ["InputChoice", "applied already"]) {
      let choice = InputChoice(candidateCount: 2, key: "k")
      try choice.apply(["k": .index(1)])
      try choice.apply(["k": .index(1)])
    },
    Trap("unequal choices of one key pruned", ["left and right", "key k"]) {
      let choices = [2, 3].map { count in
        LayerChoice((0..<count).map { _ in Identity() }, key: "k")
      }
      try Model(["left": choices[1], "right": choices[0]]) { $0 }.apply(["k": .index(2)])
    },
    Trap("more inputs than there are", ["3 of 2"]) {
      _ = InputChoice(candidateCount: 2, chosenCount: 3)
    },
    Trap("an input choice of nothing", ["0 candidates"]) { _ = InputChoice(candidateCount: 0) },
    Trap("too few inputs", ["1 inputs for 2 candidates"]) {
      _ = InputChoice(candidateCount: 2)([Tensor(zeros: [1])])
    },
    Trap("an input that is not given", ["no input b", "\"a\""]) {
      _ = InputChoice(chooseFrom: ["a", "b"])(["a": Tensor(zeros: [1])])
    },
    Trap("masks of different lengths", ["masks of 1 and 2"]) {
      _ = ChoiceMask([true]) | ChoiceMask([true, false])
    },
    Trap("a choice without a decision", ["no decision for c"]) {
      let choice = LayerChoice([Identity()])
      let model = Model(["c": choice]) { choice($0) }
      try SearchSpace(of: model, input: [1]).with([:]) {}
    },
    Trap("a choice made in a training step", ["not part of the search space", "init"]) {
      let choice = LayerChoice([Identity()])
      let model = Model(["c": choice]) { choice($0) }
      let space = try SearchSpace(of: model, input: [1])
      _ = space.with(["c": .fixed(0)]) { LayerChoice([Identity()])(Tensor(zeros: [1])) }
    },
  ]
}

@Suite("Wrong uses of choices trap and say why", .seededWeights)
struct MutableTrapTests {
  @Test(arguments: Array(Trap.all.indices))
  func trap(_ index: Int) async throws {
    let trap = Trap.all[index]
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) { [index] in
      do { try Trap.all[index].call() } catch { print("threw \(error)") }
      exit(0)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    for part in trap.message {
      #expect(text.contains(part), "\(trap.name) should say \"\(part)\": \(text.prefix(300))")
    }
  }
}
