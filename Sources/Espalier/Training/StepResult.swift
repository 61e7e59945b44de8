/// What a step gives back: tensors that are read at the next log line.
public struct StepResult: TensorPack {
  /// The training loss, one element.
  public var loss: Tensor
  /// What else is reported, by name: means of one element, or one element a sample.
  public var metrics: [String: Tensor]

  /// A result.
  public init(loss: Tensor, metrics: [String: Tensor]) {
    self.loss = loss
    self.metrics = metrics
  }

  /// The loss, then the metrics by name.
  public var tensors: [Tensor] { [loss] + metrics.tensors }
}
