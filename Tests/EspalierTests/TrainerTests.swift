import Foundation
import Testing

@testable import Espalier

@Suite("SearchTrainer", .seededWeights)
struct TrainerTests {
  @Test(
    "A search leaves log, architectures, candidates and summary with all their fields",
    arguments: strategyNames)
  func files(name: String) throws {
    try withTemporaryFolder { folder in
      let result = try runToySearch(folder, toyStrategy(name), epochs: 2)
      // 24 images train weights: 3 steps of 8 in each of 2 epochs.
      let net = toyNet(for: name)
      let space = try toySpace(net)
      let log = try jsonLines(folder + "/log.jsonl")
      #expect(log.map { $0["step"] } == [1, 2, 3, 4, 6].map { .integer($0) })
      #expect(log.map { $0["epoch"] } == [0, 0, 0, 1, 1].map { .integer($0) })
      for line in log {
        #expect(
          Set(line.keys) == ["step", "epoch", "seconds", "loss", "metrics", "decisions", "shares"])
        #expect(line["loss"]?.double.map { $0 > 0 && $0 < 10 } == true)
        guard case .object(let metrics)? = line["metrics"],
          case .object(let decisions)? = line["decisions"],
          case .array(let first)? = decisions["first"]
        else { throw RunError("fields of \(line)") }
        #expect(metrics["accuracy"]?.double.map { (0...1).contains($0) } == true)
        #expect(Set(decisions.keys) == Set(space.choices.map(\.key)))
        #expect(abs(first.compactMap(\.double).reduce(0, +) - 1) < 1e-5)
      }
      for file in ["architecture.json", "epochs/1.json", "epochs/2.json"] {
        let architecture = try Architecture(contentsOf: "\(folder)/\(file)")
        #expect(try architecture.resolved(against: space.choices).count == space.choices.count)
      }
      #expect(try Architecture(contentsOf: folder + "/architecture.json") == result.architecture)
      guard
        case .object(let summary) = try JSONValue(parsing: Array(bytes(folder + "/summary.json")))
      else { throw RunError("summary") }
      #expect(summary["parameters"] == .integer(net.parameterCount))
      #expect(summary["validation_accuracy"]?.double == result.validation)
      #expect(summary["random_baseline_accuracy"]?.double == result.randomBaseline)
      #expect(summary["search_seconds"]?.double.map { $0 > 0 } == true)
      #expect(FileManager.default.fileExists(atPath: folder + "/checkpoint.json"))
      // Each architecture evaluated, once: the strategy's and the baseline's.
      let candidates = try jsonLines(folder + "/candidates.jsonl")
      func scores(_ source: String) -> [Double] {
        candidates.filter { $0["source"] == .string(source) }.compactMap { $0["score"]?.double }
      }
      // Three evaluations, and the result's own.
      #expect((1...4).contains(scores("strategy").count))
      #expect((0...3).contains(scores("baseline").count))
      #expect(Set(candidates.map { "\($0["architecture"] ?? .null)" }).count == candidates.count)
      #expect(scores("strategy").max() == result.validation)
      #expect(
        result.randomBaseline.map { (scores("strategy") + scores("baseline")).contains($0) } == true
      )
      #expect(scores("baseline").allSatisfy { $0 <= result.randomBaseline ?? -1 })
    }
  }

  @Test("The log holds a step's own loss, progress the mean since the line before")
  func losses() throws {
    func run(_ frequency: Int) throws -> (logged: [Int: Double], told: [Int: Double]) {
      try withTemporaryFolder { folder in
        let net = InitialWeights.with(seed: 1) { ToyNet() }
        let trainer = SearchTrainer(
          net, strategy: RandomSearch(), data: try toyData(), epochs: 2, logFrequency: frequency,
          options: toyOptions(), directory: try RunDirectory(folder, isResuming: false))
        var told: [Int: Double] = [:]
        trainer.callbacks.progress = { told[$0.step] = $0.loss }
        try trainer.train()
        var logged: [Int: Double] = [:]
        for line in try jsonLines(folder + "/log.jsonl") {
          guard case .integer(let step)? = line["step"] else { continue }
          logged[step] = line["loss"]?.double
        }
        return (logged, told)
      }
    }
    let (each, sparse) = (try run(1), try run(10))
    #expect(each.logged == each.told && each.logged.count == 6)
    // The first step and each epoch's last.
    #expect(sparse.logged == each.logged.filter { [1, 3, 6].contains($0.key) })
    let mean = (4...6).compactMap { each.logged[$0] }.reduce(0, +) / 3
    #expect(abs(try #require(sparse.told[6]) - mean) < 1e-12)
  }

  @Test("Search and export need nothing but a net, a strategy and data")
  func plain() throws {
    try withTemporaryFolder { folder in
      var options = toyOptions()
      options.reportsBaseline = false
      let trainer = SearchTrainer(
        ToyNet(), strategy: DARTS(), data: try toyData(), epochs: 1, options: options)
      let result = try trainer.train()
      try trainer.export(to: folder + "/made/on/the/way/a.json")
      #expect(
        try Architecture(contentsOf: folder + "/made/on/the/way/a.json") == result.architecture)
      #expect(result.randomBaseline == nil)
    }
  }

  @Test("The halves of a data set ordered by class both have all classes, and share no image")
  func split() throws {
    let set = toyImages(60, ordered: true)
    #expect(set.label(at: 0) == 0 && set.label(at: 29) == 1 && set.label(at: 59) == 2)
    let (first, second) = DatasetSplit.halves(count: set.count, portion: 0.5, seed: 0)
    for half in [first, second] {
      var counts = [0, 0, 0]
      for index in half { counts[Int(set.label(at: index))] += 1 }
      #expect(counts.allSatisfy { $0 >= 4 }, "\(counts)")
    }
    #expect(Set(first).isDisjoint(with: second))
    #expect((first + second).sorted() == Array(0..<60))
    // And the trainer uses it: with half of an ordered set some classes would be missing.
    var seen: [Set<Int32>] = [[], []]
    var options = toyOptions()
    options.evaluations = 0
    let recorder = RecordingStrategy { training, validation in
      for (number, batch) in [training, validation].enumerated() {
        if let labels = batch.labels { seen[number].formUnion(try labels.scalars(as: Int32.self)) }
      }
    }
    _ = try SearchTrainer(
      ToyNet(), strategy: recorder, data: try toyData(60, ordered: true), epochs: 1,
      options: options
    ).train()
    #expect(seen == [[0, 1, 2], [0, 1, 2]])
  }

  @Test("Augmentation reaches the training batches and not the evaluation")
  func augmentation() throws {
    final class Counter: Augmentation, @unchecked Sendable {
      private let lock = NSLock()
      private var count = 0
      var value: Int { lock.withLock { count } }
      func apply(
        to image: UnsafeMutableBufferPointer<Float>, shape: ImageShape, generator: inout Philox
      ) { lock.withLock { count += 1 } }
    }
    let counter = Counter()
    var options = toyOptions()
    options.augmentation = [counter]
    var before = 0
    let trainer = SearchTrainer(
      ToyNet(), strategy: RandomSearch(), data: try toyData(), epochs: 1, options: options)
    trainer.callbacks.epochEnd = { _ in
      // Two batches are prepared ahead.
      Thread.sleep(forTimeInterval: 0.05)
      before = counter.value
    }
    try trainer.train()
    #expect(before >= 24)
    #expect(counter.value <= before + 16)
  }
}

/// Shows its batches to a closure and trains nothing.
private final class RecordingStrategy: SearchStrategy {
  static let name = "recording"
  let needsValidationBatch = true
  private let look: (TensorBatch, TensorBatch) throws -> Void
  private var architectureNow: [String: ResolvedChoice] = [:]

  init(_ look: @escaping (TensorBatch, TensorBatch) throws -> Void) { self.look = look }

  func prepare(_ search: SearchContext) throws { architectureNow = search.randomArchitecture() }
  func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    if !search.isRehearsing { try look(training, try validation()) }
    return search.evaluate(search.space.sampledDecisions(architectureNow), training)
  }
  func probabilities() throws -> [String: [Double]] { [:] }
  func architecture() throws -> [String: ResolvedChoice] { architectureNow }
}
