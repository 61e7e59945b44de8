/// Everything about a retraining that is not the network or the data.
public struct RetrainOptions {
  /// Samples in a batch; 96 as in DARTS.
  public var batchSize = 96
  /// Fixes shuffles, augmentation and drop path.
  public var seed: UInt64 = 0
  /// Use only the first so many training images after the shuffle.
  public var images: Int?
  /// Use only the first so many test images.
  public var testImages: Int?
  /// The learning rate over the training.
  public var schedule = LearningRateSchedule.cosine(0.025)
  /// Momentum.
  public var momentum: Float = 0.9
  /// Weight decay.
  public var weightDecay: Float = 3e-4
  /// The largest global norm of the gradients.
  public var clipNorm: Float? = 5
  /// How the optimizer is made, where it is not SGD with the settings above.
  public var makeOptimizer: (([Parameter]) throws -> any Optimizer)?
  /// Loss and metrics.
  public var objective = Objective.classification()
  /// Augmentation of training images, before normalisation.
  public var augmentation: [any Augmentation] = []
  /// Augmentation after normalisation: cutout.
  public var lateAugmentation: [any Augmentation] = []
  /// Weight of the auxiliary head's loss.
  public var auxiliaryWeight: Float = 0.4
  /// Drop-path probability at the end; it rises linearly from 0.
  public var dropPath: Float = 0
  /// Steps between checkpoints; there is one at the end of each epoch too.
  public var checkpointInterval = 200
  /// Kept in the checkpoints; what must be the same when a run is resumed.
  public var metadata: [String: String] = [:]

  /// The defaults of DARTS' evaluation, without augmentation and drop path.
  public init() {}
}

/// What a retraining gave.
public struct RetrainResult: Sendable {
  /// Over the test set.
  public var test: EvaluationResult
  /// Number of parameters.
  public var parameters: Int
  /// Seconds that the training took.
  public var seconds: Double
}

/// Trains a fixed network from the beginning and evaluates it on the test set.
public final class Retrainer {
  private let net: any SpaceModel
  private let data: LoadedData
  private let epochs: Int
  private let logFrequency: Int
  private let options: RetrainOptions
  private let directory: RunDirectory?
  /// Progress, notes and the wish to stop.
  public var callbacks = TrainingCallbacks()

  /// A training of any model.
  ///
  /// - Parameters:
  ///   - net: The network, with an architecture applied.
  ///   - data: Training and test images.
  ///   - epochs: Passes over the training images.
  ///   - logFrequency: Steps between log lines.
  ///   - options: Everything else.
  ///   - directory: Where log and checkpoints go; nil keeps nothing.
  public init(
    _ net: any Layer, data: LoadedData, epochs: Int = 20, logFrequency: Int = 10,
    options: RetrainOptions = RetrainOptions(), directory: RunDirectory? = nil
  ) {
    precondition(epochs > 0 && logFrequency > 0, "Retrainer: \(epochs) epochs")
    self.net = (net as? any SpaceModel) ?? PlainModel(net)
    self.data = data
    self.epochs = epochs
    self.logFrequency = logFrequency
    self.options = options
    self.directory = directory
  }

  /// Trains from the beginning, or from the directory's checkpoint.
  @discardableResult
  public func train(isResuming: Bool = false) throws -> RetrainResult {
    let start = monotonicNow()
    let normalize = Normalize(data.statistics)
    let loader = DataLoader(
      data.train,
      indices: DatasetSplit.first(
        options.images ?? .max, of: data.train.count, seed: options.seed),
      batchSize: options.batchSize,
      transforms: options.augmentation + [normalize] + options.lateAugmentation,
      seed: options.seed)
    let weights = try ParameterSet(net)
    let parameters = weights.named.map(\.parameter)
    let optimizer: any Optimizer =
      try options.makeOptimizer?(parameters)
      ?? SGD(
        parameters, learningRate: Float(options.schedule.rate(0)), momentum: options.momentum,
        weightDecay: options.weightDecay, clipNorm: options.clipNorm)
    let stepCount = epochs * loader.batchesInEpoch
    var (stepNumber, epoch) = (0, 0)
    if isResuming, let directory,
      let checkpoint = try directory.loadCheckpoint(note: callbacks.note)
    {
      (stepNumber, epoch) = try restore(checkpoint, optimizer, loader)
      try directory.truncateLog(afterStep: stepNumber)
    }
    func save() throws {
      guard let directory else { return }
      try optimizer.checkFinite(step: stepNumber)
      var checkpoint = Checkpoint()
      try checkpoint.add(net)
      try checkpoint.add(optimizer, "weights")
      checkpoint.file.metadata.merge(options.metadata) { $1 }
      checkpoint.file.metadata["step"] = "\(stepNumber)"
      checkpoint.file.metadata["epoch"] = "\(epoch)"
      checkpoint.file.metadata["loader/training"] =
        "\(loader.state.epoch),\(loader.state.nextIndex)"
      try directory.save(checkpoint)
    }
    var window = MetricWindow()
    while epoch < epochs {
      while let batch = try loader.next() {
        let progress = Double(stepNumber) / Double(stepCount)
        optimizer.learningRate = Float(options.schedule.rate(progress))
        net.dropPathRate = options.dropPath * Float(epoch) / Float(epochs)
        let result = try trainStep(batch, weights, optimizer, stepNumber)
        stepNumber += 1
        window.add(result, images: batch.count)
        let isEpochEnd = loader.state.nextIndex >= loader.samplesInEpoch
        if stepNumber == 1 || stepNumber % logFrequency == 0 || isEpochEnd {
          try optimizer.checkFinite(step: stepNumber)
          let (loss, last, metrics, rate) = try window.read()
          let seconds = monotonicNow() - start
          callbacks.progress(
            ProgressLine(
              step: stepNumber, stepCount: stepCount, epoch: epoch, epochCount: epochs,
              loss: loss, metrics: metrics, imagesPerSecond: rate, seconds: seconds))
          try directory?.appendLog(
            .object([
              "step": .integer(stepNumber), "epoch": .integer(epoch), "seconds": .number(seconds),
              "loss": .number(last), "metrics": metrics.json, "decisions": .object([:]),
            ]))
        }
        if callbacks.shouldStop() {
          try save()
          throw TrainingInterrupted(step: stepNumber)
        }
        if stepNumber % options.checkpointInterval == 0 && !isEpochEnd { try save() }
      }
      epoch += 1
      try save()
      callbacks.epochEnd(epoch)
    }
    let seconds = monotonicNow() - start
    return RetrainResult(
      test: try evaluateOnTestSet(), parameters: net.parameterCount, seconds: seconds)
  }

  /// Loss and accuracy over the test set.
  public func evaluateOnTestSet() throws -> EvaluationResult {
    let loader = DataLoader(
      data.test, indices: Array((0..<data.test.count).prefix(options.testImages ?? .max)),
      batchSize: options.batchSize, transforms: [Normalize(data.statistics)], seed: 0,
      shuffles: false)
    return try evaluate(loader, objective: options.objective) { net($0) }
  }

  private func trainStep(
    _ batch: Batch, _ weights: ParameterSet, _ optimizer: any Optimizer, _ number: Int
  ) throws -> StepResult {
    try step(random: RandomState(seed: options.seed, step: UInt32(number))) {
      let tensors = try TensorBatch(batch)
      let (pack, gradients) = try valueAndGradient(wrt: weights.variables) { () -> [Tensor] in
        let (scores, auxiliary) = net.withAuxiliary(tensors.images)
        let loss = options.objective.loss(scores, tensors)
        guard let auxiliary else { return [loss, loss, scores] }
        let total = loss + options.objective.loss(auxiliary, tensors) * options.auxiliaryWeight
        return [total, loss, scores]
      }
      try optimizer.update(with: gradients)
      return StepResult(loss: pack[1], metrics: options.objective.metrics(pack[2], tensors))
    }
  }

  private func restore(
    _ checkpoint: Checkpoint, _ optimizer: any Optimizer, _ loader: DataLoader
  ) throws -> (step: Int, epoch: Int) {
    let metadata = checkpoint.file.metadata
    for (key, value) in options.metadata where metadata[key] != value {
      throw RunError(
        "\(directory?.path ?? ""): \(key) was \(metadata[key] ?? "not set"), now it is \(value); a resumed run must keep it"
      )
    }
    let state = (metadata["loader/training"] ?? "").split(separator: ",").compactMap { Int($0) }
    guard let step = metadata["step"].flatMap({ Int($0) }),
      let epoch = metadata["epoch"].flatMap({ Int($0) }), state.count == 2
    else { throw RunError("checkpoint: step, epoch or loader state is missing") }
    try checkpoint.restore(net)
    try checkpoint.restore(optimizer, "weights")
    loader.restore(DataLoader.State(epoch: state[0], nextIndex: state[1]))
    callbacks.note("going on after step \(step), epoch \(epoch)")
    return (step, epoch)
  }
}

/// Any layer as a model without auxiliary head and drop path.
final class PlainModel: Module, SpaceModel {
  private let layer: any Layer

  init(_ layer: any Layer) { self.layer = layer }

  /// The layer's own children: a wrapper adds nothing to paths.
  override var children: [(name: String, member: any ModuleMember)] { layer.children }
  override var supernetChildren: [(name: String, member: any ModuleMember)] {
    layer.supernetChildren
  }

  func callAsFunction(_ images: Tensor) -> Tensor { layer(images) }
}
