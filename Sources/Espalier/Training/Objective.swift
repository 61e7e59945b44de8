/// What is minimised and what is reported.
public struct Objective {
  /// The loss of an output, one element.
  public var loss: (_ output: Tensor, _ batch: TensorBatch) -> Tensor
  /// Means over a batch by name, one element each.
  public var metrics: (_ output: Tensor, _ batch: TensorBatch) -> [String: Tensor]
  /// The metric by which architectures are compared.
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
        return ["accuracy": (output.argmax(axis: 1) .== labels).cast(to: .float32).mean()]
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
}
