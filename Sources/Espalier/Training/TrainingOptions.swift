/// Settings that searches and retrainings share.
protocol TrainingOptions {
  var seed: UInt64 { get }
  var schedule: LearningRateSchedule { get }
  var momentum: Float { get }
  var weightDecay: Float { get }
  var clipNorm: Float? { get }
  var makeOptimizer: (([Parameter]) throws -> any Optimizer)? { get }
  var checkpointInterval: Int { get }
  var metadata: [String: String] { get }
}

extension TrainingOptions {
  /// The optimizer of a network's weights.
  func optimizer(of weights: ParameterSet) throws -> any Optimizer {
    let parameters = weights.named.map(\.parameter)
    return try makeOptimizer?(parameters)
      ?? SGD(
        parameters, learningRate: Float(schedule.rate(0)), momentum: momentum,
        weightDecay: weightDecay, clipNorm: clipNorm)
  }
}

extension SearchOptions: TrainingOptions {}
extension RetrainOptions: TrainingOptions {}
