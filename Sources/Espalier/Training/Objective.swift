/// What is minimised and what is reported.
public struct Objective {
  /// The loss of an output, one element.
  public var loss: (_ output: Tensor, _ batch: TensorBatch) -> Tensor
  /// What is reported of a batch by name: the mean as one element, or one float32 element a sample.
  public var metrics: (_ output: Tensor, _ batch: TensorBatch) -> [String: Tensor]
  /// The metric by which architectures are compared, or `loss`.
  public var selectionMetric: String
  /// Whether a larger selection metric is better.
  public var isLargerBetter: Bool

  /// An objective from its parts.
  public init(
    loss: @escaping (_ output: Tensor, _ batch: TensorBatch) -> Tensor,
    metrics: @escaping (_ output: Tensor, _ batch: TensorBatch) -> [String: Tensor],
    selectionMetric: String, isLargerBetter: Bool
  ) {
    self.loss = loss
    self.metrics = metrics
    self.selectionMetric = selectionMetric
    self.isLargerBetter = isLargerBetter
  }

  /// Cross-entropy and accuracy.
  public static func classification(labelSmoothing: Float = 0) -> Objective {
    Objective(
      loss: { output, batch in
        guard let labels = batch.labels else {
          preconditionFailure("classification: the data set has no labels")
        }
        return crossEntropy(output, labels, labelSmoothing: labelSmoothing)
      },
      metrics: { output, batch in
        guard let labels = batch.labels else { return [:] }
        return ["accuracy": (output.argmax(axis: 1) .== labels).cast(to: .float32)]
      },
      selectionMetric: "accuracy", isLargerBetter: true)
  }

  /// The mean squared error.
  public static var regression: Objective {
    func error(_ output: Tensor, _ batch: TensorBatch) -> Tensor {
      guard let targets = batch.targets else {
        preconditionFailure("regression: the data set has no targets")
      }
      return meanSquaredError(output, targets)
    }
    return Objective(
      loss: error, metrics: { ["mean_squared_error": error($0, $1)] },
      selectionMetric: "mean_squared_error", isLargerBetter: false)
  }

  /// The number by which architectures are compared; larger is better.
  func score(_ result: EvaluationResult) throws(ObjectiveError) -> Double {
    try requireSelectionMetric(among: Array(result.metrics.keys))
    let value = result.metrics[selectionMetric] ?? result.loss
    guard value.isFinite else {
      throw ObjectiveError(message: "the selection metric \(selectionMetric) is \(value)")
    }
    return isLargerBetter ? value : -value
  }

  /// Throws where the selection metric is neither the loss nor one of the metrics.
  func requireSelectionMetric(among names: [String]) throws(ObjectiveError) {
    guard selectionMetric != "loss", !names.contains(selectionMetric) else { return }
    let valid = (["loss"] + names.sorted()).joined(separator: ", ")
    throw ObjectiveError(message: "the selection metric \(selectionMetric) is none of \(valid)")
  }
}

/// A loss or metric with which nothing can be done.
public struct ObjectiveError: Error, CustomStringConvertible {
  /// Which, and what it is.
  public let message: String
  /// One line for people.
  public var description: String { message }
}
