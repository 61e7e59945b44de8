extension SearchContext {
  /// Plans everything that this strategy's steps and evaluations will need, before the first step.
  ///
  /// - Parameters:
  ///   - batches: Sizes of a training and a validation batch that occur together.
  ///   - evaluations: Sizes of evaluation batches.
  ///   - recalibrations: Sizes of batches that make batch-norm statistics; none where evaluation
  ///     batches make their own.
  ///   - progress: Told how many of how many passes are planned.
  ///   - makeBatch: A batch of any content and the given size.
  func rehearse(
    _ strategy: any SearchStrategy, batches: [(training: Int, validation: Int?)],
    evaluations: [Int], recalibrations: [Int] = [],
    progress: (_ done: Int, _ count: Int) -> Void = { _, _ in },
    makeBatch: @escaping (Int) throws -> TensorBatch
  ) throws {
    let steps = batches.map { sizes in
      { () throws -> StepResult in
        try strategy.step(self, training: try makeBatch(sizes.training)) {
          try makeBatch(sizes.validation ?? sizes.training)
        }
      }
    }
    let evaluations = evaluations.map { size in
      { () throws -> StepResult in
        let batch = try makeBatch(size)
        let result = Mode.with(recalibrations.isEmpty ? .supernetEvaluation : .evaluation) {
          self.evaluate(self.space.sampledDecisions(self.randomArchitecture()), batch)
        }
        try self.objective.requireSelectionMetric(among: Array(result.metrics.keys))
        return result
      }
    }
    let recalibrations = recalibrations.map { size in
      {
        let decisions = self.space.sampledDecisions(self.randomArchitecture())
        try self.recalibrate(decisions, number: 1) { try makeBatch(size) }
      }
    }
    let path = batches.prefix(1).map { sizes in
      { () throws -> StepResult in
        try self.trainWeights(
          self.space.sampledDecisions(self.randomArchitecture()), try makeBatch(sizes.training))
      }
    }
    func run(_ pass: () throws -> StepResult) throws { _ = try EspalierTensor.step { try pass() } }
    // What a rehearsed step draws and concludes has not happened.
    let (savedGenerator, savedState) = (generator, strategy.state)
    try space.rehearse(
      (steps + evaluations).map { pass in { try run(pass) } } + recalibrations
        + [{ _ = try strategy.probabilities() }],
      probe: { for pass in path + evaluations.prefix(1) { try run(pass) } }, progress: progress)
    generator = savedGenerator
    try strategy.restore(savedState, in: self)
  }
}
