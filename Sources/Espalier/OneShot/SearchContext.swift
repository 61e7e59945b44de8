/// What a strategy works with.
public final class SearchContext {
  /// The supernet.
  public let model: any Layer
  /// The choices.
  public let space: SearchSpace
  /// The network's parameters and buffers.
  public let weights: ParameterSet
  /// The optimizer of the network's weights.
  public let optimizer: any Optimizer
  /// Loss and metrics.
  public let objective: Objective
  /// Random numbers drawn on the host; part of the checkpoint.
  public var generator: SeededGenerator
  /// Where the search is; schedules are functions of its `progress`.
  public internal(set) var position: TrainingPosition
  /// How many architectures may be evaluated after training.
  public let evaluations: Int

  init(
    model: any Layer, space: SearchSpace, weights: ParameterSet, optimizer: any Optimizer,
    objective: Objective, generator: SeededGenerator, evaluations: Int,
    position: TrainingPosition = TrainingPosition(stepCount: 1, epochCount: 1)
  ) {
    self.model = model
    self.space = space
    self.weights = weights
    self.optimizer = optimizer
    self.objective = objective
    self.generator = generator
    self.evaluations = evaluations
    self.position = position
  }

  /// Whether a step is only planned ahead: reads give zeros, updates change nothing.
  public var isRehearsing: Bool { Rehearsal.isRunning }

  /// Loss and metrics of the network under decisions.
  public func evaluate(_ decisions: [String: Decision], _ batch: TensorBatch) -> StepResult {
    space.with(decisions) {
      let output = model(batch.images)
      return StepResult(
        loss: objective.loss(output, batch), metrics: objective.metrics(output, batch))
    }
  }

  /// Trains the weights once under decisions.
  public func trainWeights(_ decisions: [String: Decision], _ batch: TensorBatch) throws
    -> StepResult
  {
    let (result, gradients) = try valueAndGradient(wrt: weights.variables) {
      evaluate(decisions, batch)
    }
    try optimizer.update(with: gradients)
    return result
  }

  /// The generator with which a search of this seed begins.
  static func generator(seed: UInt64) -> SeededGenerator { SeededGenerator(seed: seed ^ 0x5EA2C4) }

  /// A uniformly random architecture.
  public func randomArchitecture() -> [String: ResolvedChoice] {
    space.randomArchitecture(&generator)
  }
}
