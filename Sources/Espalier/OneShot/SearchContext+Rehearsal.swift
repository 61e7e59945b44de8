extension SearchContext {
  /// Plans everything that this strategy's steps and evaluations will need, before the first step.
  ///
  /// - Parameters:
  ///   - batches: Sizes of a training and a validation batch that occur together.
  ///   - evaluations: Sizes of evaluation batches.
  ///   - makeBatch: A batch of any content and the given size.
  func rehearse(
    _ strategy: any SearchStrategy, batches: [(training: Int, validation: Int?)],
    evaluations: [Int], makeBatch: (Int) throws -> TensorBatch
  ) throws {
    let saved = generator
    defer { generator = saved }
    try space.rehearse {
      for sizes in batches {
        _ = try EspalierTensor.step {
          try strategy.step(
            self, training: try makeBatch(sizes.training),
            validation: try sizes.validation.map { try makeBatch($0) })
        }
      }
      for size in evaluations {
        _ = try EspalierTensor.step { () -> StepResult in
          let batch = try makeBatch(size)
          return Mode.with(.supernetEvaluation) {
            evaluate(space.sampledDecisions(randomArchitecture()), batch)
          }
        }
      }
    }
  }
}
