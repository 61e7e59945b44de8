/// A one-shot search algorithm: decides choices, trains weights, names the best architecture.
///
/// One file each. A strategy writes `Decision`s and never touches a layer's insides.
public protocol SearchStrategy: AnyObject {
  /// Its name on the command line.
  static var name: String { get }
  /// Whether a step needs a batch of the validation half beside one of the training half.
  var needsValidationBatch: Bool { get }
  /// Makes what the strategy trains; throws where it cannot decide a choice of the space.
  func prepare(_ search: SearchContext) throws
  /// One training step; runs inside `step { }`.
  func step(_ search: SearchContext, training: TensorBatch, validation: TensorBatch?) throws
    -> StepResult
  /// How probable each candidate of each key is now; reads values.
  func probabilities() throws -> [String: [Double]]
  /// The best architecture known without evaluating any.
  func architecture() throws -> [String: ResolvedChoice]
  /// The result of the search; by default `architecture()`.
  ///
  /// - Parameter evaluate: The validation accuracy of an architecture with the shared weights.
  func finish(
    _ search: SearchContext, evaluate: ([String: ResolvedChoice]) throws -> Double
  ) throws -> [String: ResolvedChoice]
  /// The tensors that a checkpoint must hold, by name.
  var variables: [(name: String, variable: Variable)] { get }
  /// Optimizers of the strategy's own, by name.
  var optimizers: [(name: String, optimizer: any Optimizer)] { get }
}

extension SearchStrategy {
  /// The architecture as it stands.
  public func finish(
    _ search: SearchContext, evaluate: ([String: ResolvedChoice]) throws -> Double
  ) throws -> [String: ResolvedChoice] { try architecture() }
  /// No tensors.
  public var variables: [(name: String, variable: Variable)] { [] }
  /// No optimizers.
  public var optimizers: [(name: String, optimizer: any Optimizer)] { [] }
}

/// A batch as tensors on the training device.
public struct TensorBatch {
  /// `[N, C, H, W]`.
  public let images: Tensor
  /// int32 `[N]`, for classification.
  public let labels: Tensor?
  /// `[N, targets]`, for regression.
  public let targets: Tensor?
  /// Number of samples.
  public let count: Int

  /// A batch of tensors that exist.
  public init(images: Tensor, labels: Tensor?, targets: Tensor? = nil) {
    self.images = images
    self.labels = labels
    self.targets = targets
    count = images.shape[0]
  }

  /// Uploads a batch to the current device.
  public init(_ batch: Batch) throws(DeviceError) {
    count = batch.count
    images = try Tensor(batch.images, shape: Shape(batch.shape), order: .channelsLast)
    labels = batch.labels.isEmpty ? nil : try Tensor(batch.labels)
    targets =
      batch.targets.isEmpty
      ? nil : try Tensor(batch.targets, shape: [batch.count, batch.targetCount])
  }
}

/// What a step gives back: tensors that are read at the next log line.
public struct StepResult: TensorPack {
  /// The training loss, one element.
  public var loss: Tensor
  /// Further means by name.
  public var metrics: [String: Tensor]

  /// A result.
  public init(loss: Tensor, metrics: [String: Tensor]) {
    self.loss = loss
    self.metrics = metrics
  }

  /// The loss, then the metrics by name.
  public var tensors: [Tensor] { [loss] + metrics.tensors }
}

/// What a strategy works with.
public final class SearchContext {
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
  /// Share of the search that is done, from 0 to 1.
  public internal(set) var progress = 0.0
  /// How many architectures may be evaluated after training.
  public let evaluations: Int
  private let model: any Layer

  init(
    model: any Layer, space: SearchSpace, weights: ParameterSet, optimizer: any Optimizer,
    objective: Objective, generator: SeededGenerator, evaluations: Int
  ) {
    self.model = model
    self.space = space
    self.weights = weights
    self.optimizer = optimizer
    self.objective = objective
    self.generator = generator
    self.evaluations = evaluations
  }

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

  /// Plans everything that this strategy's steps and evaluations will need, before the first step.
  ///
  /// - Parameters:
  ///   - batches: Sizes of a training and a validation batch that occur together.
  ///   - evaluations: Sizes of evaluation batches.
  ///   - makeBatch: A batch of any content and the given size.
  func rehearse(
    _ strategy: any SearchStrategy, batches: [(training: Int, validation: Int?)],
    evaluations: [Int], makeBatch: (Int) throws -> TensorBatch
  ) throws {
    let saved = generator
    defer { generator = saved }
    try space.rehearse {
      for sizes in batches {
        _ = try EspalierTensor.step {
          try strategy.step(
            self, training: try makeBatch(sizes.training),
            validation: try sizes.validation.map { try makeBatch($0) })
        }
      }
      for size in evaluations {
        _ = try EspalierTensor.step { () -> StepResult in
          let batch = try makeBatch(size)
          return Mode.with(.supernetEvaluation) {
            evaluate(space.sampledDecisions(randomArchitecture()), batch)
          }
        }
      }
    }
  }

  /// A uniformly random architecture.
  public func randomArchitecture() -> [String: ResolvedChoice] {
    space.randomArchitecture(&generator)
  }
}

extension SearchSpace {
  /// The first architecture that the strategy `random` draws with a seed.
  public func firstRandomArchitecture(seed: UInt64) -> Architecture {
    var generator = SearchContext.generator(seed: seed)
    return Architecture(randomArchitecture(&generator), in: choices)
  }

  /// A uniformly random architecture.
  ///
  /// Of an input choice with a fixed number a uniform subset; of any number, fair coins. A candidate
  /// that is exactly zero is not drawn, and edges that no input choice takes are left out.
  public func randomArchitecture(_ generator: inout SeededGenerator) -> [String: ResolvedChoice] {
    var result: [String: ResolvedChoice] = [:]
    for choice in choices {
      let count = choice.candidateNames.count
      switch choice.kind {
      case .layer:
        let allowed = selectable(choice.key, count)
        result[choice.key] = ResolvedChoice(
          active: [allowed[Int.random(in: 0..<allowed.count, using: &generator)]])
      case .input:
        if let chosen = choice.chosenCount {
          let order = Array(0..<count).shuffled(using: &generator)
          result[choice.key] = ResolvedChoice(active: Array(order.prefix(chosen)))
        } else {
          result[choice.key] = ResolvedChoice(
            active: (0..<count).filter { _ in Bool.random(using: &generator) })
        }
      }
    }
    return withoutUnusedEdges(result)
  }

  /// Candidates that may be chosen: all that are not exactly zero, or all if there are no others.
  func selectable(_ key: String, _ count: Int) -> [Int] {
    guard let choice = mutables[key]?.first as? LayerChoice else { return Array(0..<count) }
    let useful = choice.candidates.indices.filter {
      !(choice.candidates[$0].layer is any ZeroLayer)
    }
    return useful.isEmpty ? Array(0..<count) : useful
  }

  /// Empties layer choices that input choices name and do not take, as DARTS' export does.
  func withoutUnusedEdges(_ choices: [String: ResolvedChoice]) -> [String: ResolvedChoice] {
    var result = choices
    var named: Set<String> = []
    var taken: Set<String> = []
    for choice in self.choices where choice.kind == .input {
      for (index, name) in choice.candidateNames.enumerated() where mutables[name] != nil {
        named.insert(name)
        if choices[choice.key]?.active.contains(index) == true { taken.insert(name) }
      }
    }
    for name in named.subtracting(taken)
    where self.choices.contains(where: { $0.key == name && $0.kind == .layer }) {
      result[name] = ResolvedChoice(active: [])
    }
    return result
  }
}
