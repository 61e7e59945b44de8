import Testing

@testable import Espalier

/// Images of one brightness each, with two numbers that depend on it: a data set of the user's own.
private struct BrightnessDataset: Dataset {
  let levels: [Float]
  let classCount: Int? = nil
  let targetCount = 2
  let channels = 1
  let height = 6
  let width = 6
  var count: Int { levels.count }

  init(_ count: Int, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    levels = (0..<count).map { _ in Float(generator.uniform()) }
  }

  func target(_ index: Int) -> [Float] { [2 * levels[index] - 1, 1 - levels[index]] }
  func fillImage(
    at index: Int, into image: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError) {
    for pixel in image.indices { image[pixel] = levels[index] + 0.001 * Float(pixel % 5) }
  }
  func fillTarget(
    at index: Int, into target: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError) { _ = target.update(fromContentsOf: self.target(index)) }
  func label(at index: Int) throws(DatasetError) -> Int32 {
    preconditionFailure("a regression has no labels")
  }
}

@Suite("Objectives", .seededWeights)
struct ObjectiveTests {
  /// The mean squared error as loss; the user's own metric decides: 1 / (1 + mean absolute error).
  private func closeness() -> Objective {
    var objective = Objective.regression
    let errors = objective.metrics
    objective.metrics = { output, batch in
      var metrics = errors(output, batch)
      if let targets = batch.targets {
        metrics["closeness"] = 1 / (1 + abs(output - targets).mean())
      }
      return metrics
    }
    (objective.selectionMetric, objective.isLargerBetter) = ("closeness", true)
    return objective
  }

  @Test(
    "A regression selects by the user's metric, with the user's loss, optimizer, data and callbacks",
    arguments: strategyNames)
  func regression(name: String) throws {
    let data = BrightnessDataset(48, seed: 4)
    let net = InitialWeights.with(seed: 1) { toyNet(for: name, outputs: 2) }
    var options = toyOptions()
    options.objective = closeness()
    // One batch a pass, normalised by its own statistics: the metric is no mean over samples.
    options.recalibrationImages = 0
    (options.batchSize, options.evaluations) = (24, 8)
    var made: [Int] = []
    options.makeOptimizer = { parameters in
      made.append(parameters.count)
      // An unrolled step is one of SGD.
      return name == SecondOrderDARTS.name
        ? try SGD(parameters, learningRate: 0.02, momentum: 0.9)
        : try Adam(parameters, learningRate: 0.02)
    }
    try withTemporaryFolder { folder in
      let trainer = SearchTrainer(
        net, strategy: try toyStrategy(name), data: try LoadedData(train: data, test: data),
        epochs: 30, logFrequency: 3, options: options,
        directory: try RunDirectory(folder, isResuming: false))
      var lines: [ProgressLine] = []
      var (epochs, evaluations) = (0, 0)
      trainer.callbacks.progress = { lines.append($0) }
      trainer.callbacks.epochEnd = { epochs = $0 }
      trainer.callbacks.evaluation = { evaluations = $0 }
      let result = try trainer.train()
      let (first, last) = (try #require(lines.first), try #require(lines.last))
      #expect(first.metrics["mean_squared_error"] == first.loss)
      #expect(Set(last.metrics.keys) == ["closeness", "mean_squared_error"])
      #expect(last.loss < 0.5 * first.loss, "\(first.loss) to \(last.loss)")
      #expect(made == [net.parameters.count] && epochs == 30)
      // The result is the closest of what the strategy had evaluated.
      let candidates = try jsonLines(folder + "/candidates.jsonl")
      #expect(candidates.count == evaluations)
      let scores = candidates.filter { $0["source"] == .string("strategy") }
        .compactMap { $0["score"]?.double }
      #expect(scores.max() == result.validation)
      // And its score is the user's metric on the held-out images, worked out by hand.
      let space = try SearchSpace(of: net, input: [1, 6, 6])
      let choices = try result.architecture.resolved(against: space.choices)
      let (_, held) = DatasetSplit.halves(count: data.count, portion: 0.5, seed: options.seed)
      let statistics = try LoadedData(train: data, test: data).statistics
      let batch = try Batch(of: data, at: held, transforms: [Normalize(statistics)])
      let output: [Float] = try step {
        let images = try TensorBatch(batch).images
        return Mode.with(.supernetEvaluation) {
          space.with(space.sampledDecisions(choices)) { net(images) }
        }
      }.scalars()
      let errors = zip(output, held.flatMap { data.target($0) }).map { abs($0 - $1) }
      let expected = 1 / (1 + errors.reduce(0, +) / Float(errors.count))
      #expect(abs(try #require(result.validation) - Double(expected)) < 1e-4)
    }
  }

  @Test("Of a metric that should be small the smallest is the best")
  func smallerIsBetter() throws {
    func score(_ error: Double) throws -> Double {
      try Objective.regression.score(
        EvaluationResult(loss: 9, metrics: ["mean_squared_error": error], count: 1))
    }
    #expect(try score(0.5) > score(0.7))
    var byLoss = Objective.classification()
    (byLoss.selectionMetric, byLoss.isLargerBetter) = ("loss", false)
    let result = EvaluationResult(loss: 9, metrics: ["accuracy": 0.5], count: 1)
    #expect(try byLoss.score(result) == -9)
    #expect(try Objective.classification().score(result) == 0.5)
  }

  @Test("A selection metric that nobody computes is refused before the first step")
  func unknownMetric() throws {
    var options = toyOptions()
    options.objective.selectionMetric = "reward"
    var steps = 0
    let trainer = SearchTrainer(
      ToyNet(), strategy: RandomSearch(), data: try toyData(), epochs: 1, options: options)
    trainer.callbacks.shouldStop = {
      steps += 1
      return false
    }
    let error = #expect(throws: ObjectiveError.self) { try trainer.train() }
    #expect(error.map { $0.message.contains("reward is none of loss, accuracy") } == true)
    #expect(steps == 0)
  }
}
