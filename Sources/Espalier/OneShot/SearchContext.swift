/// What a strategy works with.
public final class SearchContext {
  /// The supernet.
  public private(set) var model: any Layer
  /// The choices.
  public private(set) var space: SearchSpace
  /// The network's parameters and buffers.
  public private(set) var weights: ParameterSet
  /// The optimizer of the network's weights.
  public private(set) var optimizer: any Optimizer
  /// Loss and metrics.
  public let objective: Objective
  /// Random numbers drawn on the host; part of the checkpoint.
  public var generator: SeededGenerator
  /// Where the search is; schedules are functions of its `progress`.
  public package(set) var position: TrainingPosition
  /// How many architectures may be evaluated after training.
  public let evaluations: Int
  /// The largest costs that an architecture may have.
  public let limits: CostLimits
  /// What candidates take on a device, where `latency_s` is to be known.
  let latency: LatencyTable?
  private var knownCosts: ArchitectureCosts?
  /// Makes further networks of the space; nil where the trainer was given a network alone.
  private let makeNetwork: NetworkMaker?
  /// What another network needs: the shape of an image, and its weights' optimizer.
  private let replacement: (input: Shape, makeOptimizer: (ParameterSet) throws -> any Optimizer)?

  init(
    model: any Layer, space: SearchSpace, weights: ParameterSet, optimizer: any Optimizer,
    objective: Objective, generator: SeededGenerator, evaluations: Int,
    position: TrainingPosition = TrainingPosition(stepCount: 1, epochCount: 1),
    makeNetwork: NetworkMaker? = nil, limits: CostLimits = CostLimits(),
    latency: LatencyTable? = nil,
    replacement: (input: Shape, makeOptimizer: (ParameterSet) throws -> any Optimizer)? = nil
  ) {
    self.model = model
    self.space = space
    self.weights = weights
    self.optimizer = optimizer
    self.objective = objective
    self.generator = generator
    self.evaluations = evaluations
    self.position = position
    self.makeNetwork = makeNetwork
    self.limits = limits
    self.latency = latency
    self.replacement = replacement
  }

  /// A context at the beginning of a search over a network.
  convenience init(
    _ model: any Layer, input: Shape, options: SearchOptions, position: TrainingPosition
  ) throws {
    let weights = try ParameterSet(model)
    self.init(
      model: model, space: try SearchSpace(of: model, input: input), weights: weights,
      optimizer: try options.optimizer(of: weights), objective: options.objective,
      generator: SearchContext.generator(seed: options.seed), evaluations: options.evaluations,
      position: position, makeNetwork: options.makeNetwork, limits: options.limits,
      latency: options.latency,
      replacement: (input, options.optimizer(of:)))
  }

  /// Whether `network` can make one: not where the trainer was given a network alone.
  public var makesNetworks: Bool { makeNetwork != nil }

  /// Another network of the same space and data.
  ///
  /// - Parameters:
  ///   - role: Which of the space's two networks.
  ///   - settings: Values put over the user's, such as `["cells": "11"]`.
  ///   - strategy: Who asks, for the message.
  /// - Throws: `RunError` where the trainer was given a network alone; `SettingError` where the space
  ///   does not take the settings.
  public func network(
    _ role: NetworkRole, settings: [String: String] = [:], for strategy: String
  ) throws -> any SpaceModel {
    guard let makeNetwork else {
      throw RunError(
        "\(strategy) makes further networks of its space: set SearchOptions.makeNetwork")
    }
    return try makeNetwork(role, settings)
  }

  /// What architectures cost in the network that is retrained, or in the supernet where the trainer
  /// was given a network alone.
  public func costs() throws -> ArchitectureCosts {
    if let knownCosts { return knownCosts }
    guard let input = replacement?.input, input.rank == 3 else {
      throw RunError("costs are known of networks that take images")
    }
    let image = ImageShape(channels: input[0], height: input[1], width: input[2])
    let costs =
      if let makeNetwork {
        try ArchitectureCosts(image: image, latency: latency) { try makeNetwork(.retraining, [:]) }
      } else {
        ArchitectureCosts(of: model, space: space, image: image, latency: latency)
      }
    knownCosts = costs
    return costs
  }

  /// Whether costs are known: of a network without a trainer, or of vectors, they are not.
  var takesImages: Bool { replacement?.input.rank == 3 }

  /// Whether an architecture keeps to all limits.
  public func admits(_ choices: [String: ResolvedChoice]) throws -> Bool {
    try limits.isEmpty || costs().excess(choices, over: limits) == nil
  }

  /// Goes on with another network of the same choices, with its own weights and a new optimizer.
  ///
  /// For networks that change in stages: called in `epochEnded`, and in `restore` where the state
  /// is of another stage.
  /// - Throws: `SpaceError` where the network's choices are others.
  public func replaceModel(_ model: any Layer) throws {
    guard let replacement else { preconditionFailure("replaceModel: this context has no trainer") }
    let space = try SearchSpace(of: model, input: replacement.input)
    let (old, new) = (self.space.choices, space.choices)
    guard old == new else {
      let key =
        zip(old, new).first { $0 != $1 }?.0.key
        ?? (old.count > new.count ? old[new.count] : new[old.count]).key
      throw SpaceError.unequalChoices(
        key: key, first: "of the network so far", second: "of the one that replaces it",
        difference: "a search keeps its choices")
    }
    let weights = try ParameterSet(model)
    (self.model, self.space, self.weights) = (model, space, weights)
    optimizer = try replacement.makeOptimizer(weights)
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

  /// The selection metric of a result, larger is better; reads it.
  public func score(_ result: StepResult) throws -> Double {
    try objective.score(
      EvaluationResult(
        loss: result.loss.item(), metrics: result.metrics.mapValues { try MetricSum($0).mean },
        count: 1))
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
