import Foundation
import Testing

@testable import Espalier

/// Options of a search that takes a second.
func toyOptions(seed: UInt64 = 3) -> SearchOptions {
  var options = SearchOptions()
  options.batchSize = 8
  options.seed = seed
  options.evaluations = 3
  options.checkpointInterval = 2
  options.schedule = .cosine(0.1, to: 0.01)
  return options
}

/// The names of all strategies: tests that take them cover a new one by themselves.
let strategyNames = StrategyDefinition.all.map(\.name)

/// A strategy by its name, with its defaults but for those that make a short search show something.
func toyStrategy(_ name: String) throws -> any SearchStrategy {
  let definition = try #require(
    StrategyDefinition.named(name), "there is no strategy \(name), only \(strategyNames)")
  let quick = ["alpha_learning_rate": "0.05"]
  let known = Set(definition.parameters.map(\.name))
  return try definition.make(SettingValues(quick.filter { known.contains($0.key) }))
}

/// Runs a search over `ToyNet`, stopping after the given step of this session if any.
@discardableResult
func runToySearch(
  _ folder: String, _ strategy: any SearchStrategy = DARTS(learningRate: 0.05), epochs: Int = 2,
  data: LoadedData? = nil, options: SearchOptions = toyOptions(), stopAfter: Int? = nil,
  isResuming: Bool = false, notes: ((String) -> Void)? = nil
) throws -> SearchResult {
  let net = InitialWeights.with(seed: 1) { toyNet(for: type(of: strategy).name) }
  let trainer = SearchTrainer(
    net, strategy: strategy, data: try data ?? toyData(), epochs: epochs, logFrequency: 2,
    options: options, directory: try RunDirectory(folder, isResuming: isResuming))
  var steps = 0
  trainer.callbacks.shouldStop = {
    steps += 1
    return steps == stopAfter
  }
  if let notes { trainer.callbacks.note = notes }
  return try trainer.train(isResuming: isResuming)
}

/// What had to be planned behind the rehearsal of a search, at each epoch's end and evaluation.
func planMisses(_ strategy: any SearchStrategy) throws -> [Int] {
  let trainer = SearchTrainer(
    InitialWeights.with(seed: 1) { toyNet(for: type(of: strategy).name) }, strategy: strategy,
    // Batches of 8, and a last one of 5 and of 4.
    data: try toyData(57), epochs: 4, options: toyOptions())
  var planned = 0
  var misses: [Int] = []
  trainer.callbacks.planning = { _, _ in
    planned = EngineStatistics.threadCounters.planMisses
  }
  func count() { misses.append(EngineStatistics.threadCounters.planMisses - planned) }
  trainer.callbacks.epochEnd = { _ in count() }
  trainer.callbacks.evaluation = { _ in count() }
  try trainer.train()
  return misses
}

/// The lines of a JSON lines file.
func jsonLines(_ path: String) throws -> [JSONObject] {
  try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { line in
    guard case .object(let object) = try JSONValue(parsing: Array(line.utf8)) else {
      throw RunError("\(path): \(line)")
    }
    return object
  }
}
