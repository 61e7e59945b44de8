import Foundation
import Testing

@testable import Espalier

/// A strategy of everything that the protocol offers: weights of a random path each step; every third
/// step a second network learns from two validation batches, and a baseline follows its loss; the
/// search ends once the second network had enough updates.
private final class EverythingStrategy: SearchStrategy {
  static let name = "everything"
  let needsValidationBatch = true
  private let critic = InitialWeights.with(seed: 8) { Linear(36, 3) }
  private var criticOptimizer: Adam?
  private var best: [String: ResolvedChoice] = [:]
  private var baseline = 0.0
  private var updates = 0
  /// States and positions as steps found them.
  var seen: [(state: JSONObject, position: TrainingPosition)] = []

  func prepare(_ search: SearchContext) throws {
    criticOptimizer = try Adam(critic.parameters, learningRate: 0.01)
    best = search.randomArchitecture()
  }

  func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    if !search.isRehearsing { seen.append((state, search.position)) }
    var metrics: [String: Tensor] = [:]
    if search.isRehearsing || search.position.step % 3 == 2 {
      let batches = [try validation(), try validation()]
      let (loss, gradients) = try valueAndGradient(wrt: critic.parameters.map(\.variable)) {
        addAll(batches.map { search.objective.loss(critic($0.images.flattened()), $0) })
      }
      try criticOptimizer?.update(with: gradients)
      baseline = 0.5 * baseline + 0.5 * (try loss.item())
      updates += 1
      best = search.randomArchitecture()
      metrics["critic"] = loss
    }
    var result = try search.trainWeights(
      search.space.sampledDecisions(search.randomArchitecture()), training)
    result.metrics.merge(metrics) { $1 }
    return result
  }

  func epochEnded(_ search: SearchContext) throws -> SearchContinuation {
    updates < 2 ? .goOn : .stop(reason: "\(updates) updates are enough")
  }

  func probabilities() throws -> [String: [Double]] { [:] }
  func architecture() throws -> [String: ResolvedChoice] { best }

  var variables: [(name: String, variable: Variable)] {
    critic.namedVariables().map { ("critic/\($0.path)", $0.variable) }
  }
  var optimizers: [(name: String, optimizer: any Optimizer)] {
    criticOptimizer.map { [("critic", $0)] } ?? []
  }
  var state: JSONObject {
    [
      "baseline": .number(baseline), "updates": .integer(updates),
      "best": .object(
        best.reduce(into: JSONObject()) { object, choice in
          object[choice.key] = .array(choice.value.active.map { .integer($0) })
        }),
    ]
  }
  func restore(_ state: JSONObject, in search: SearchContext) throws {
    guard case .number(let baseline)? = state["baseline"],
      case .integer(let updates)? = state["updates"], case .object(let best)? = state["best"]
    else { throw RunError("everything: \(state)") }
    (self.baseline, self.updates) = (baseline, updates)
    for key in best.keys {
      guard case .array(let active)? = best[key] else { continue }
      self.best[key] = ResolvedChoice(active: active.compactMap { $0.double.map { Int($0) } })
    }
  }
}

/// A search in stages: after each epoch it goes on with a larger network.
private final class GrowingStrategy: SearchStrategy {
  static let name = "growing"
  let needsValidationBatch = false
  private var stage = 0
  private var best: [String: ResolvedChoice] = [:]

  func prepare(_ search: SearchContext) throws { best = search.randomArchitecture() }
  func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    try search.trainWeights(search.space.sampledDecisions(search.randomArchitecture()), training)
  }
  func epochEnded(_ search: SearchContext) throws -> SearchContinuation {
    if search.position.epoch + 1 < search.position.epochCount { try go(to: stage + 1, search) }
    return .goOn
  }
  func probabilities() throws -> [String: [Double]] { [:] }
  func architecture() throws -> [String: ResolvedChoice] { best }

  var state: JSONObject { ["stage": .integer(stage)] }
  func restore(_ state: JSONObject, in search: SearchContext) throws {
    guard case .integer(let stage)? = state["stage"] else { throw RunError("growing: \(state)") }
    try go(to: stage, search)
  }
  private func go(to stage: Int, _ search: SearchContext) throws {
    guard stage != self.stage else { return }
    self.stage = stage
    try search.replaceModel(
      InitialWeights.with(seed: UInt64(stage)) { ToyNet(channels: 4 + 2 * stage) })
  }
}

@Suite("The protocol of strategies", .seededWeights)
struct StrategyProtocolTests {
  private let files = [
    "architecture.json", "candidates.jsonl", "checkpoint.safetensors", "epochs/1.json",
    "epochs/2.json",
  ]

  @Test(
    "Second network, baseline and early end survive a stop after any step, byte for byte",
    arguments: 1...6)
  func resumes(stop: Int) throws {
    try withTemporaryFolder { folder in
      let whole = try runToySearch(folder + "/whole", EverythingStrategy(), epochs: 5)
      #expect(whole.stopReason == "2 updates are enough")
      #expect(!FileManager.default.fileExists(atPath: folder + "/whole/epochs/3.json"))
      #expect(throws: TrainingInterrupted.self) {
        try runToySearch(folder + "/parts", EverythingStrategy(), epochs: 5, stopAfter: stop)
      }
      let parts = try runToySearch(
        folder + "/parts", EverythingStrategy(), epochs: 5, isResuming: true)
      #expect(parts.stopReason == whole.stopReason)
      for file in files {
        #expect(try bytes("\(folder)/whole/\(file)") == bytes("\(folder)/parts/\(file)"), "\(file)")
      }
      // And once more after its end: the reason is in the checkpoint.
      let again = try runToySearch(
        folder + "/parts", EverythingStrategy(), epochs: 5, isResuming: true)
      #expect(again.stopReason == whole.stopReason && again.architecture == whole.architecture)
      guard
        case .object(let summary) = try JSONValue(
          parsing: Array(bytes(folder + "/parts/summary.json")))
      else { throw RunError("summary") }
      #expect(summary["stopped_early"] == .string("2 updates are enough"))
    }
  }

  @Test("What a strategy concludes while it is rehearsed has not happened")
  func rehearsal() throws {
    try withTemporaryFolder { folder in
      let strategy = EverythingStrategy()
      try runToySearch(folder, strategy, epochs: 5)
      let first = try #require(strategy.seen.first)
      #expect(first.state["updates"] == .integer(0) && first.state["baseline"] == .number(0))
      #expect(strategy.seen.map(\.position.step) == Array(0..<6))
      #expect(strategy.seen.map(\.position.epoch) == [0, 0, 0, 1, 1, 1])
      // Five epochs of three steps were asked for.
      #expect(strategy.seen.last?.position.progress == 5.0 / 15)
      #expect(strategy.seen.map { $0.state["updates"] } == [0, 0, 0, 1, 1, 1].map { .integer($0) })
    }
  }

  @Test("A metric that only some steps have is averaged over these")
  func rareMetric() throws {
    let strategy = EverythingStrategy()
    let trainer = SearchTrainer(
      InitialWeights.with(seed: 1) { ToyNet() }, strategy: strategy, data: try toyData(),
      epochs: 5, logFrequency: 100, options: toyOptions())
    var lines: [ProgressLine] = []
    trainer.callbacks.progress = { lines.append($0) }
    try trainer.train()
    try #require(lines.map(\.step) == [1, 3, 6])
    #expect(lines.first?.metrics["critic"] == nil)
    // Only the third step updates; from then on the baseline is half of that step's loss.
    let next = try #require(strategy.seen.dropFirst(3).first)
    #expect(next.state["baseline"]?.double == lines[1].metrics["critic"].map { $0 / 2 })
  }

  @Test(
    "What is done now and then, or by a later network, is planned ahead; the planning tells how far it is",
    arguments: [true, false])
  func plannedAhead(isGrowing: Bool) throws {
    let trainer = SearchTrainer(
      InitialWeights.with(seed: 1) { ToyNet() },
      strategy: isGrowing ? GrowingStrategy() : EverythingStrategy(), data: try toyData(),
      epochs: 3, options: toyOptions())
    var planning: [(done: Int, count: Int)] = []
    var planned = 0
    var misses: [Int] = []
    trainer.callbacks.planning = { done, count in
      planning.append((done, count))
      planned = EngineStatistics.threadCounters.planMisses
    }
    trainer.callbacks.shouldStop = {
      misses.append(EngineStatistics.threadCounters.planMisses - planned)
      return false
    }
    try trainer.train()
    #expect(misses.count >= 6 && misses.allSatisfy { $0 == 0 }, "\(misses)")
    let count = try #require(planning.first?.count)
    #expect(count > 2)
    let once = Array(0...count)
    #expect(planning.map(\.done) == (isGrowing ? once + once + once : once))
    #expect(planning.allSatisfy { $0.count == count })
  }

  @Test(
    "A network that grows in stages is planned anew and survives a stop after any step",
    arguments: [1, 3, 4, 6, 8, 9])
  func grows(stop: Int) throws {
    try withTemporaryFolder { folder in
      try runToySearch(folder + "/whole", GrowingStrategy(), epochs: 3)
      let checkpoint = try Safetensors.loadNewest(at: folder + "/whole/checkpoint.safetensors")
      #expect(checkpoint.contents.entries["norm.weight"]?.shape == [8])
      #expect(throws: TrainingInterrupted.self) {
        try runToySearch(folder + "/parts", GrowingStrategy(), epochs: 3, stopAfter: stop)
      }
      try runToySearch(folder + "/parts", GrowingStrategy(), epochs: 3, isResuming: true)
      for file in files {
        #expect(try bytes("\(folder)/whole/\(file)") == bytes("\(folder)/parts/\(file)"), "\(file)")
      }
    }
  }

  @Test("A network with other choices does not replace the one that is searched")
  func otherChoices() throws {
    final class Swapping: SearchStrategy {
      static let name = "swapping"
      let needsValidationBatch = false
      func prepare(_ search: SearchContext) throws {
        let choice = LayerChoice([Linear(36, 3)], key: "other")
        try search.replaceModel(Model(["c": choice]) { choice($0.flattened()) })
      }
      func step(
        _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
      ) throws -> StepResult { search.evaluate([:], training) }
      func probabilities() throws -> [String: [Double]] { [:] }
      func architecture() throws -> [String: ResolvedChoice] { [:] }
    }
    let error = #expect(throws: SpaceError.self) {
      try SearchTrainer(ToyNet(), strategy: Swapping(), data: try toyData(), epochs: 1).train()
    }
    #expect(error.map { "\($0)".contains("first") && "\($0)".contains("replaces") } == true)
  }
}
