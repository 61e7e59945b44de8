import Espalier

/// A training step of the network that DARTS' authors published, with the paper's settings.
final class RetrainStep: TrainingStep {
  private static let genotype = """
    Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), \
    ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), \
    ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), \
    ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), \
    ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])
    """

  private let net: any SpaceModel
  private let weights: ParameterSet
  private let optimizer: any Optimizer
  private let objective = Objective.classification()
  private let sizes: StepSizes
  private var batches: [Batch] = []

  /// The network with fresh weights.
  init(_ sizes: StepSizes) throws {
    self.sizes = sizes
    guard let space = SpaceDefinition.named("darts") else {
      throw CheckError(message: "there is no space 'darts'")
    }
    let settings = sizes.settings(["auxiliary_weight": sizes.hasAuxiliaryHead ? "0.4" : "0"])
    net = try InitialWeights.with(seed: 0) { try space.makeRetrainingNetwork(settings) }
    try net.apply(Genotype(parsing: RetrainStep.genotype).architecture())
    net.dropPathRate = 0.1
    weights = try ParameterSet(net)
    optimizer = try SGD(
      weights.named.map(\.parameter), learningRate: 0.025, momentum: 0.9, weightDecay: 3e-4,
      clipNorm: 5)
    let data = sizes.dataset(batches: 4)
    for index in 0..<4 {
      batches.append(
        try Batch(of: data, at: Array(index * sizes.batch..<(index + 1) * sizes.batch)))
    }
  }

  /// As `Retrainer` does it.
  func run(_ number: Int) throws -> Double {
    let batch = batches[number % batches.count]
    let result = try step(random: RandomState(seed: 0, step: UInt32(number))) {
      let tensors = try TensorBatch(batch)
      let (pack, gradients) = try valueAndGradient(wrt: weights.variables) { () -> [Tensor] in
        let (scores, auxiliary) = net.withAuxiliary(tensors.images)
        let loss = objective.loss(scores, tensors)
        guard let auxiliary else { return [loss, loss, scores] }
        return [loss + objective.loss(auxiliary, tensors) * 0.4, loss, scores]
      }
      try optimizer.update(with: gradients)
      return StepResult(loss: pack[1], metrics: objective.metrics(pack[2], tensors))
    }
    return try result.loss.item()
  }

  /// Forward, data gradient and weight gradient cost the same.
  func flopsOfLastStep() -> Double? {
    let cost = RecordedCost.measure {
      _ = net.withAuxiliary(Tensor(zeros: [sizes.batch, 3, sizes.image, sizes.image]))
    }
    return 6 * Double(cost.multiplyAdds)
  }
}
