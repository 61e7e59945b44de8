/// Loss and metrics over a data set.
public struct EvaluationResult: Sendable {
  /// The mean loss.
  public var loss: Double
  /// Means by name.
  public var metrics: [String: Double]
  /// Number of samples.
  public var count: Int

  /// The accuracy, where there is one.
  public var accuracy: Double { metrics["accuracy"] ?? 0 }
}

/// Runs a network over all batches of a loader, without gradients.
///
/// - Parameters:
///   - mode: `.evaluation` for a trained network, `.supernetEvaluation` inside a supernet.
public func evaluate(
  _ loader: DataLoader, objective: Objective, mode: Mode = .evaluation,
  _ network: (Tensor) -> Tensor
) throws -> EvaluationResult {
  // Over samples: the last batch may be smaller.
  var loss = MetricSum()
  var metrics: [String: MetricSum] = [:]
  while let batch = try loader.next() {
    let result = try step { () -> StepResult in
      let tensors = try TensorBatch(batch)
      return Mode.with(mode) {
        let output = network(tensors.images)
        return StepResult(
          loss: objective.loss(output, tensors), metrics: objective.metrics(output, tensors))
      }
    }
    loss += try MetricSum(result.loss, samples: batch.count)
    for (name, value) in result.metrics {
      metrics[name, default: MetricSum()] += try MetricSum(value, samples: batch.count)
    }
  }
  return EvaluationResult(
    loss: loss.mean, metrics: metrics.mapValues(\.mean), count: loss.count)
}
