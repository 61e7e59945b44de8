extension SearchContext {
  /// Loss and metrics of one architecture with the shared weights.
  ///
  /// A supernet's running statistics are of all its paths and fit none. So those of this path are made
  /// first, as in SPOS (arXiv:1904.00420), and overwrite what was there.
  /// - Parameters:
  ///   - choices: The architecture.
  ///   - images: What loss and metrics are over.
  ///   - batches: What makes the statistics of batch norm: the mean of all batches, each as much as
  ///     any other; nil normalises each evaluation batch by its own.
  func evaluate(
    _ choices: [String: ResolvedChoice], over images: DataLoader,
    recalibratedOver batches: DataLoader?
  ) throws -> EvaluationResult {
    let decisions = space.sampledDecisions(choices)
    if let batches {
      var number = 0
      while let batch = try batches.next() {
        number += 1
        try recalibrate(decisions, number: number) { try TensorBatch(batch) }
      }
    }
    return try Espalier.evaluate(
      images, objective: objective, mode: batches == nil ? .supernetEvaluation : .evaluation
    ) { images in space.with(decisions) { model(images) } }
  }

  /// One pass that moves the running statistics of the path to the mean of the first `number`.
  func recalibrate(
    _ decisions: [String: Decision], number: Int, makeBatch: () throws -> TensorBatch
  ) throws {
    // The output is asked for though nobody reads it: which blocks run, and so what is planned, would
    // else depend on which candidates of the path have a batch norm.
    _ = try EspalierTensor.step { () -> Tensor in
      let batch = try makeBatch()
      return Mode.with(.recalibration(number)) { space.with(decisions) { model(batch.images) } }
    }
  }

  /// The best of as many uniformly random architectures as may be evaluated, at least one.
  ///
  /// Of equal ones the first. They keep to all limits, unless none is found that does.
  func bestRandomArchitecture(_ evaluate: CandidateEvaluator) throws -> [String: ResolvedChoice] {
    var best = try admittedArchitecture(&generator) ?? randomArchitecture()
    var bestScore = try evaluate(best)
    for _ in 1..<max(1, evaluations) {
      guard let candidate = try admittedArchitecture(&generator) else { break }
      let score = try evaluate(candidate)
      if score > bestScore { (best, bestScore) = (candidate, score) }
    }
    return best
  }
}
