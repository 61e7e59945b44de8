/// A fixed network, as a training loop trains it.
final class RetrainTask: TrainingTask {
  private let net: any SpaceModel
  private let weights: ParameterSet
  private let options: RetrainOptions
  let weightsOptimizer: any Optimizer

  init(_ net: any SpaceModel, _ options: RetrainOptions) throws {
    self.net = net
    self.options = options
    weights = try ParameterSet(net)
    weightsOptimizer = try options.optimizer(of: weights)
  }

  var model: any Layer { net }

  /// Follows the network's loss and, by its weight, the auxiliary head's.
  func step(_ batch: Batch, at position: TrainingPosition) throws -> StepResult {
    net.dropPathRate = options.dropPath * Float(position.epoch) / Float(position.epochCount)
    let tensors = try TensorBatch(batch)
    let (pack, gradients) = try valueAndGradient(wrt: weights.variables) { () -> [Tensor] in
      let (scores, auxiliary) = net.withAuxiliary(tensors.images)
      let loss = options.objective.loss(scores, tensors)
      guard let auxiliary else { return [loss, loss, scores] }
      let total = loss + options.objective.loss(auxiliary, tensors) * options.auxiliaryWeight
      return [total, loss, scores]
    }
    try weightsOptimizer.update(with: gradients)
    return StepResult(loss: pack[1], metrics: options.objective.metrics(pack[2], tensors))
  }
}
