/// Trains batch by batch until the epochs are over: loader → step → log → checkpoint → next.
///
/// The one loop of searches and retrainings; what a step is, its task says. Resumed from a
/// checkpoint it goes on as if it had never stopped.
final class TrainingLoop {
  let task: any TrainingTask
  let loader: DataLoader
  let options: any TrainingOptions
  let directory: RunDirectory?
  let callbacks: TrainingCallbacks
  /// Where the training is.
  var position: TrainingPosition
  /// Why the training ended before its last epoch.
  var stopReason: String?
  private let logFrequency: Int
  var window = MetricWindow()
  private let start = monotonicNow()
  /// Seconds that earlier sessions took up to the checkpoint, as the log has them.
  var earlierSeconds = 0.0

  /// A loop at its beginning.
  ///
  /// - Parameters:
  ///   - loader: The batches; an epoch is one pass over them.
  ///   - epochs: Passes over the loader.
  ///   - logFrequency: Steps between log lines.
  ///   - directory: Where log and checkpoints go; nil keeps nothing.
  init(
    _ task: any TrainingTask, loader: DataLoader, epochs: Int, logFrequency: Int,
    options: any TrainingOptions, directory: RunDirectory?, callbacks: TrainingCallbacks
  ) {
    self.task = task
    self.loader = loader
    self.options = options
    self.directory = directory
    self.callbacks = callbacks
    self.logFrequency = logFrequency
    position = TrainingPosition(loader, epochs: epochs)
  }

  /// Seconds that the training took so far, in all its sessions.
  var seconds: Double { earlierSeconds + monotonicNow() - start }

  /// Trains to the end, from the beginning or from the directory's checkpoint.
  ///
  /// - Throws: `TrainingInterrupted` where a callback asked to stop; a checkpoint was written.
  func run(isResuming: Bool) throws {
    if isResuming { try resume() }
    try task.prepare()
    window.startClock()
    while position.epoch < position.epochCount && stopReason == nil {
      while let batch = try loader.next() { try train(batch) }
      stopReason = try task.epochEnded(at: position)
      position.epoch += 1
      try save()
      callbacks.epochEnd(position.epoch)
      if let stopReason { callbacks.note("stopped after epoch \(position.epoch): \(stopReason)") }
    }
  }

  private func train(_ batch: Batch) throws {
    task.weightsOptimizer.learningRate = Float(options.schedule.rate(position.progress))
    let result = try step(
      random: RandomState(seed: options.seed, step: UInt32(position.step))
    ) { try task.step(batch, at: position) }
    position.step += 1
    try window.add(result, images: batch.count)
    let isEpochEnd = loader.state.nextIndex >= loader.samplesInEpoch
    if position.step == 1 || position.step.isMultiple(of: logFrequency) || isEpochEnd { try log() }
    if callbacks.shouldStop() {
      try save()
      throw TrainingInterrupted(step: position.step)
    }
    // The end of an epoch has a checkpoint of its own.
    if position.step.isMultiple(of: options.checkpointInterval) && !isEpochEnd { try save() }
  }

  /// Throws where a gradient was not finite since the last call: nothing has been changed by it.
  func checkFinite() throws {
    try task.weightsOptimizer.checkFinite(step: position.step)
    for (_, optimizer) in task.otherOptimizers { try optimizer.checkFinite(step: position.step) }
  }

  private func log() throws {
    try checkFinite()
    let means = try window.read()
    for (name, value) in means.metrics.merging(["loss": means.loss], uniquingKeysWith: { $1 })
    where !value.isFinite {
      throw ObjectiveError(message: "\(name) is \(value) at step \(position.step)")
    }
    let seconds = seconds
    callbacks.progress(
      ProgressLine(
        step: position.step, stepCount: position.stepCount, epoch: position.epoch,
        epochCount: position.epochCount, loss: means.loss, metrics: means.metrics,
        imagesPerSecond: means.imagesPerSecond, seconds: seconds))
    guard let directory else { return }
    var line: JSONObject = [
      "step": .integer(position.step), "epoch": .integer(position.epoch),
      "seconds": .number(seconds), "loss": .number(means.lastLoss), "metrics": means.metrics.json,
    ]
    let decisions = try task.decisions()
    for key in decisions.keys { line[key] = decisions[key] }
    try directory.appendLog(.object(line))
  }
}

extension [String: Double] {
  /// The mapping as JSON, by sorted key.
  fileprivate var json: JSONValue {
    var object = JSONObject()
    for key in keys.sorted() { object[key] = self[key].map { .number($0) } }
    return .object(object)
  }
}
