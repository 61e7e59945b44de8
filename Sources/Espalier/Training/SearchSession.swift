/// One run of a `SearchTrainer`: the loop over a strategy's steps, then the choice of the result.
struct SearchSession {
  private let task: SearchTask
  private let data: SearchData
  private let loop: TrainingLoop
  private let options: SearchOptions
  private let directory: RunDirectory?
  private let callbacks: TrainingCallbacks

  init(
    net: any Layer, strategy: any SearchStrategy, data: LoadedData, epochs: Int, logFrequency: Int,
    options: SearchOptions, directory: RunDirectory?, callbacks: TrainingCallbacks
  ) throws {
    self.options = options
    self.directory = directory
    self.callbacks = callbacks
    self.data = try SearchData(
      data, options: options, needsValidation: strategy.needsValidationBatch)
    task = try SearchTask(
      net, strategy: strategy, data: self.data,
      position: TrainingPosition(self.data.training, epochs: epochs), options: options,
      directory: directory, callbacks: callbacks)
    loop = TrainingLoop(
      task, loader: self.data.training, epochs: epochs, logFrequency: logFrequency,
      options: options, directory: directory, callbacks: callbacks)
  }

  /// Searches from the beginning, or from the directory's checkpoint.
  func run(isResuming: Bool) throws -> SearchResult {
    try loop.run(isResuming: isResuming)
    return try finish()
  }

  private func finish() throws -> SearchResult {
    let (search, space) = (task.search, task.search.space)
    try directory?.removeCandidates()
    var source = "strategy"
    var count = 0
    let evaluator = CandidateEvaluator(space, admits: search.admits) { choices in
      // The last epoch's checkpoint leads here again.
      if callbacks.shouldStop() { throw TrainingInterrupted(step: loop.position.step) }
      return try options.objective.score(
        search.evaluate(
          choices, over: data.makeEvaluation(), recalibratedOver: data.makeRecalibration?()))
    } found: { architecture, score in
      try directory?.appendCandidate(
        .object([
          "score": .number(score), "source": .string(source),
          "costs": .object(try search.costJSON(architecture.resolved(against: space.choices))),
          "architecture": architecture.json,
        ]))
      count += 1
      callbacks.evaluation(count)
    }
    let choices = try admitted(task.strategy.finish(search, evaluate: evaluator), evaluator)
    let score = try evaluator(choices)
    source = "baseline"
    var baseline: Double?
    if options.reportsBaseline {
      var generator = SeededGenerator(seed: options.seed &+ 1)
      for _ in 0..<max(options.evaluations, 1) {
        guard let choices = try search.admittedArchitecture(&generator) else { break }
        let score = try evaluator(choices)
        baseline = max(baseline ?? score, score)
      }
    }
    let result = SearchResult(
      architecture: Architecture(choices, in: space.choices), validation: score,
      randomBaseline: baseline, seconds: loop.seconds, stopReason: loop.stopReason)
    if let directory {
      try write(
        result, costs: search.costJSON(choices),
        best: writeBest(evaluator.ranked.prefix(options.keep), to: directory), to: directory)
    }
    return result
  }

  /// What a strategy found, or, where that exceeds a limit, the best within all limits of what was
  /// evaluated and of as many random architectures.
  private func admitted(
    _ choices: [String: ResolvedChoice], _ evaluator: CandidateEvaluator
  ) throws -> [String: ResolvedChoice] {
    let search = task.search
    guard try !search.admits(choices) else { return choices }
    var generator = SeededGenerator(seed: options.seed &+ 2)
    for _ in 0..<max(options.evaluations, 1) {
      guard let other = try search.admittedArchitecture(&generator) else { break }
      _ = try evaluator(other)
    }
    if let best = evaluator.ranked.first { return best.choices }
    guard let excess = try search.costs().excess(choices, over: search.limits) else {
      return choices
    }
    throw LimitError.noneFound(search.limits, excess.key, cost: excess.cost)
  }

  /// Writes architectures to files of their own, the best first, and says what they are.
  private func writeBest(
    _ ranked: ArraySlice<(choices: [String: ResolvedChoice], score: Double)>,
    to directory: RunDirectory
  ) throws -> [JSONValue] {
    let search = task.search
    return try ranked.enumerated().map { number, candidate in
      let file = "best/\(number + 1).json"
      try directory.write(
        Architecture(candidate.choices, in: search.space.choices).jsonText, to: file)
      return .object([
        "file": .string(file), "score": .number(candidate.score),
        "costs": .object(try search.costJSON(candidate.choices)),
      ])
    }
  }

  private func write(
    _ result: SearchResult, costs: JSONObject, best: [JSONValue], to directory: RunDirectory
  ) throws {
    try directory.write(result.architecture.jsonText, to: "architecture.json")
    var summary: JSONObject = [
      "parameters": .integer(task.model.parameterCount), "search_seconds": .number(result.seconds),
    ]
    summary["costs"] = .object(costs)
    if !best.isEmpty { summary["best"] = .array(best) }
    summary["validation_accuracy"] = result.validation.map { .number($0) }
    summary["stopped_early"] = result.stopReason.map { .string($0) }
    let shares = try task.shares()
    if shares.isCollapsed { summary["collapsed"] = .string(shares.text) }
    summary["random_baseline_accuracy"] = result.randomBaseline.map { .number($0) }
    try directory.write(.object(summary), to: "summary.json")
  }
}
