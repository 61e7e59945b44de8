/// One run of a `SearchTrainer`: loaders, loop, checkpoints, result.
final class SearchSession {
  private let net: any Layer
  private let strategy: any SearchStrategy
  private let epochs: Int
  private let logFrequency: Int
  private let options: SearchOptions
  private let directory: RunDirectory?
  private let callbacks: TrainingCallbacks
  private let search: SearchContext
  private let training: DataLoader
  private let validation: DataLoader?
  private let makeEvaluationLoader: () -> DataLoader
  private var stepNumber = 0
  private var epoch = 0
  private let start = monotonicNow()

  init(
    net: any Layer, strategy: any SearchStrategy, data: LoadedData, epochs: Int, logFrequency: Int,
    options: SearchOptions, directory: RunDirectory?, callbacks: TrainingCallbacks
  ) throws {
    self.net = net
    self.strategy = strategy
    self.epochs = epochs
    self.logFrequency = logFrequency
    self.options = options
    self.directory = directory
    self.callbacks = callbacks
    let set = data.train
    let (first, second) = DatasetSplit.halves(
      count: set.count, portion: options.split, seed: options.seed,
      images: options.images ?? .max)
    let normalize = Normalize(data.statistics)
    let transforms = options.augmentation + [normalize]
    guard !first.isEmpty, !second.isEmpty || !strategy.needsValidationBatch else {
      throw SettingError(
        name: "split", value: "\(options.split)",
        expected: "a share that leaves images to both parts of \(first.count + second.count)")
    }
    training = DataLoader(
      set, indices: first, batchSize: options.batchSize, transforms: transforms,
      seed: options.seed)
    validation =
      strategy.needsValidationBatch
      ? DataLoader(
        set, indices: second, batchSize: options.batchSize, transforms: transforms,
        seed: options.seed &+ 1) : nil
    let held = Array((second.isEmpty ? first : second).prefix(options.evaluationImages))
    let (batch, seed) = (options.batchSize, options.seed)
    makeEvaluationLoader = {
      DataLoader(
        set, indices: held, batchSize: batch, transforms: [normalize], seed: seed,
        shuffles: false)
    }
    let space = try SearchSpace(of: net, input: [set.channels, set.height, set.width])
    let weights = try ParameterSet(net)
    let parameters = weights.named.map(\.parameter)
    let optimizer: any Optimizer =
      try options.makeOptimizer?(parameters)
      ?? SGD(
        parameters, learningRate: Float(options.schedule.rate(0)), momentum: options.momentum,
        weightDecay: options.weightDecay, clipNorm: options.clipNorm)
    search = SearchContext(
      model: net, space: space, weights: weights, optimizer: optimizer,
      objective: options.objective, generator: SearchContext.generator(seed: options.seed),
      evaluations: options.evaluations)
    try strategy.prepare(search)
  }

  private var stepCount: Int { epochs * training.batchesInEpoch }

  func run(isResuming: Bool) throws -> SearchResult {
    if isResuming, let directory,
      let checkpoint = try directory.loadCheckpoint(note: callbacks.note)
    {
      try restore(checkpoint)
      try directory.truncateLog(afterStep: stepNumber)
    }
    try rehearse()
    var window = MetricWindow()
    while epoch < epochs {
      while let batch = try training.next() {
        let result = try trainStep(batch)
        stepNumber += 1
        window.add(result, images: batch.count)
        let isEpochEnd = training.state.nextIndex >= training.samplesInEpoch
        if stepNumber == 1 || stepNumber % logFrequency == 0 || isEpochEnd { try log(&window) }
        if callbacks.shouldStop() {
          try save()
          throw TrainingInterrupted(step: stepNumber)
        }
        if stepNumber % options.checkpointInterval == 0 && !isEpochEnd { try save() }
      }
      try directory?.write(
        Architecture(strategy.architecture(), in: search.space.choices).jsonText,
        to: "epochs/\(epoch + 1).json")
      epoch += 1
      try save()
      callbacks.epochEnd(epoch)
    }
    return try finish()
  }

  /// Plans all that training and the evaluations after it will need.
  private func rehearse() throws {
    func sizes(_ loader: DataLoader) -> [Int] {
      let full = min(loader.batchSize, loader.samplesInEpoch)
      let last = loader.samplesInEpoch % loader.batchSize
      return last == 0 || last == full ? [full] : [full, last]
    }
    var batches: [(training: Int, validation: Int?)] = []
    for size in sizes(training) {
      if let validation {
        for other in sizes(validation) { batches.append((size, other)) }
      } else {
        batches.append((size, nil))
      }
    }
    let image = training.imageShape
    let targets = training.targetCount
    try search.rehearse(strategy, batches: batches, evaluations: sizes(makeEvaluationLoader())) {
      n in
      let images = try Tensor(
        [Float](repeating: 0, count: n * image.channels * image.height * image.width),
        shape: [n, image.channels, image.height, image.width])
      if targets > 0 {
        return TensorBatch(
          images: images, labels: nil,
          targets: try Tensor([Float](repeating: 0, count: n * targets), shape: [n, targets]))
      }
      return TensorBatch(images: images, labels: try Tensor([Int32](repeating: 0, count: n)))
    }
  }

  private func trainStep(_ batch: Batch) throws -> StepResult {
    search.progress = Double(stepNumber) / Double(stepCount)
    search.optimizer.learningRate = Float(options.schedule.rate(search.progress))
    let held = try validation?.nextCycling()
    return try step(random: RandomState(seed: options.seed, step: UInt32(stepNumber))) {
      try strategy.step(
        search, training: try TensorBatch(batch), validation: try held.map { try TensorBatch($0) })
    }
  }

  private func checkFinite() throws {
    try search.optimizer.checkFinite(step: stepNumber)
    for (_, optimizer) in strategy.optimizers { try optimizer.checkFinite(step: stepNumber) }
  }

  private func log(_ window: inout MetricWindow) throws {
    try checkFinite()
    let (loss, last, metrics, rate) = try window.read()
    let seconds = monotonicNow() - start
    callbacks.progress(
      ProgressLine(
        step: stepNumber, stepCount: stepCount, epoch: epoch, epochCount: epochs, loss: loss,
        metrics: metrics, imagesPerSecond: rate, seconds: seconds))
    guard let directory else { return }
    var decisions = JSONObject()
    let probabilities = try strategy.probabilities()
    for key in probabilities.keys.sorted() {
      decisions[key] = .array((probabilities[key] ?? []).map { .number($0) })
    }
    try directory.appendLog(
      .object([
        "step": .integer(stepNumber), "epoch": .integer(epoch), "seconds": .number(seconds),
        "loss": .number(last), "metrics": metrics.json, "decisions": .object(decisions),
      ]))
  }

  // MARK: Checkpoints

  private func save() throws {
    guard let directory else { return }
    try checkFinite()
    var checkpoint = Checkpoint()
    try checkpoint.add(net)
    try checkpoint.add(search.optimizer, "weights")
    for (name, variable) in strategy.variables { try checkpoint.add(variable, "strategy/\(name)") }
    for (name, optimizer) in strategy.optimizers { try checkpoint.add(optimizer, name) }
    var metadata = options.metadata
    metadata["step"] = "\(stepNumber)"
    metadata["epoch"] = "\(epoch)"
    metadata["generator"] = "\(search.generator.state)"
    metadata["loader/training"] = "\(training.state.epoch),\(training.state.nextIndex)"
    if let validation {
      metadata["loader/validation"] = "\(validation.state.epoch),\(validation.state.nextIndex)"
    }
    checkpoint.file.metadata.merge(metadata) { $1 }
    try directory.save(checkpoint)
  }

  private func restore(_ checkpoint: Checkpoint) throws {
    let metadata = checkpoint.file.metadata
    for (key, value) in options.metadata where metadata[key] != value {
      throw RunError(
        "\(directory?.path ?? ""): \(key) was \(metadata[key] ?? "not set"), now it is \(value); a resumed run must keep it"
      )
    }
    func state(_ name: String) throws(RunError) -> DataLoader.State {
      let parts = (metadata[name] ?? "").split(separator: ",").compactMap { Int($0) }
      guard parts.count == 2 else { throw RunError("checkpoint: \(name) is missing") }
      return DataLoader.State(epoch: parts[0], nextIndex: parts[1])
    }
    guard let step = metadata["step"].flatMap({ Int($0) }),
      let epoch = metadata["epoch"].flatMap({ Int($0) }),
      let generator = metadata["generator"].flatMap({ UInt64($0) })
    else { throw RunError("checkpoint: step, epoch or generator is missing") }
    try checkpoint.restore(net)
    try checkpoint.restore(search.optimizer, "weights")
    for (name, variable) in strategy.variables {
      try checkpoint.restore(variable, "strategy/\(name)")
    }
    for (name, optimizer) in strategy.optimizers { try checkpoint.restore(optimizer, name) }
    search.generator.state = generator
    training.restore(try state("loader/training"))
    validation?.restore(try state("loader/validation"))
    (stepNumber, self.epoch) = (step, epoch)
    callbacks.note("going on after step \(step), epoch \(epoch)")
  }

  // MARK: The result

  private func finish() throws -> SearchResult {
    // A small space is drawn from many times: each architecture is evaluated once.
    var known: [String: Double] = [:]
    func accuracy(_ choices: [String: ResolvedChoice]) throws -> Double {
      let text = Architecture(choices, in: search.space.choices).json.compactText
      if let score = known[text] { return score }
      // The last epoch's checkpoint leads here again.
      if callbacks.shouldStop() { throw TrainingInterrupted(step: stepNumber) }
      let decisions = search.space.sampledDecisions(choices)
      let result = try evaluate(
        makeEvaluationLoader(), objective: options.objective, mode: .supernetEvaluation
      ) { images in search.space.with(decisions) { net(images) } }
      let value = result.metrics[options.objective.selectionMetric] ?? -result.loss
      let score = options.objective.isLargerBetter ? value : -value
      known[text] = score
      callbacks.evaluation(known.count)
      return score
    }
    func noted(_ choices: [String: ResolvedChoice]) throws -> Double {
      let architecture = Architecture(choices, in: search.space.choices)
      let isNew = known[architecture.json.compactText] == nil
      let score = try accuracy(choices)
      if isNew {
        try directory?.appendCandidate(
          .object(["score": .number(score), "architecture": architecture.json]))
      }
      return score
    }
    try directory?.removeCandidates()
    let choices = try strategy.finish(search, evaluate: noted)
    let architecture = Architecture(choices, in: search.space.choices)
    let score = try accuracy(choices)
    var baseline: Double?
    if options.reportsBaseline {
      var generator = SeededGenerator(seed: options.seed &+ 1)
      for _ in 0..<max(options.evaluations, 1) {
        let score = try accuracy(search.space.randomArchitecture(&generator))
        baseline = max(baseline ?? score, score)
      }
    }
    let seconds = monotonicNow() - start
    if let directory {
      try directory.write(architecture.jsonText, to: "architecture.json")
      var summary: JSONObject = [
        "parameters": .integer(net.parameterCount), "search_seconds": .number(seconds),
        "validation_accuracy": .number(score),
      ]
      if let baseline { summary["random_baseline_accuracy"] = .number(baseline) }
      try directory.write(.object(summary), to: "summary.json")
    }
    return SearchResult(
      architecture: architecture, validation: score, randomBaseline: baseline, seconds: seconds)
  }
}

extension [String: Double] {
  /// The mapping as JSON, by sorted key.
  var json: JSONValue {
    var object = JSONObject()
    for key in keys.sorted() { object[key] = self[key].map { .number($0) } }
    return .object(object)
  }
}
