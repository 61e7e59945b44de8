/// How a strategy that mixes all candidates is set.
public struct MixedSearchOptions: Sendable {
  /// How α learn.
  public var alpha = AlphaOptions()
  /// How α become weights.
  public var relaxation = RelaxationOptions()
  /// When the search ends early.
  public var stopping = EarlyStoppingOptions()

  /// DARTS without safeguards.
  public init() {}

  init(_ values: SettingValues, alpha: AlphaOptions = AlphaOptions()) throws(SettingError) {
    self.alpha = try AlphaOptions(values, over: alpha)
    relaxation = try RelaxationOptions(values)
    stopping = try EarlyStoppingOptions(values)
  }

  /// The settings that `init` reads.
  static func settings(learningRate: String = "0.0003") -> [SettingDescription] {
    AlphaOptions.settings(learningRate: learningRate) + RelaxationOptions.settings
      + EarlyStoppingOptions.settings
  }
}

/// What strategies that mix all candidates share: α, how they become weights, and when to stop.
public final class MixedSearch {
  let space: SearchSpace
  let alpha: AlphaTables
  let optimizer: Adam
  let relaxation: Relaxation
  var stopping: EarlyStopping

  /// Makes α; refuses choices whose candidates differ in shape.
  ///
  /// - Parameter weighsEdges: Whether each node weighs its edges by a softmax of its own.
  init(_ search: SearchContext, _ options: MixedSearchOptions, weighsEdges: Bool = false) throws {
    space = search.space
    try space.requireMixable()
    alpha = try AlphaTables(
      space, deviation: options.alpha.deviation,
      hasImplicitZero: options.relaxation.hasImplicitZero, weighsEdges: weighsEdges,
      &search.generator)
    optimizer = try options.alpha.optimizer(of: alpha)
    relaxation = try Relaxation(options.relaxation, alpha, in: space)
    stopping = EarlyStopping(options.stopping)
  }

  /// The network's loss and metrics on a batch, all candidates mixed; recorded.
  func evaluate(_ search: SearchContext, _ batch: TensorBatch) -> StepResult {
    let decisions = alpha.mixtures {
      relaxation.weights($0, progress: search.position.progress)
    }
    return search.evaluate(decisions, batch)
  }

  /// What α follow on a batch: the network's loss and the relaxation's penalty; recorded.
  func alphaLoss(_ search: SearchContext, _ batch: TensorBatch) -> Tensor {
    let loss = evaluate(search, batch).loss
    return relaxation.penalty(alpha).map { loss + $0 } ?? loss
  }

  /// Updates α by the first-order gradient on a validation batch.
  func trainAlpha(_ search: SearchContext, _ validation: TensorBatch) throws {
    let (_, gradients) = try valueAndGradient(wrt: alpha.variables) {
      alphaLoss(search, validation)
    }
    try optimizer.update(with: gradients)
  }

  /// Updates the weights on a training batch.
  func trainWeights(_ search: SearchContext, _ training: TensorBatch) throws -> StepResult {
    let (result, gradients) = try valueAndGradient(wrt: search.weights.variables) {
      evaluate(search, training)
    }
    try search.optimizer.update(with: gradients)
    return result
  }

  /// Measures the curvature where early stopping wants it, with all that a step changed in force.
  func measureCurvature(_ search: SearchContext, _ validation: TensorBatch) throws {
    guard search.isRehearsing ? stopping.isUsed : stopping.isDue(search.position) else { return }
    let draws = RandomPosition.current
    let eigenvalue = try Mode.with(Mode(isTraining: true, updatesStatistics: false)) {
      try ValidationCurvature().dominantEigenvalue(alpha) {
        try draws.replay {
          try valueAndGradient(wrt: alpha.variables) { alphaLoss(search, validation) }.gradients
        }
      }
    }
    stopping.add(eigenvalue: eigenvalue)
  }
}

/// A strategy that mixes all candidates; what is not its step is done by a `MixedSearch`.
public protocol MixedStrategy: SearchStrategy {
  /// What `prepare` made.
  var mixed: MixedSearch? { get }
}

extension MixedStrategy {
  /// What `prepare` made, which comes first.
  var prepared: MixedSearch {
    guard let mixed else { preconditionFailure("\(Self.self): prepare(_:) comes first") }
    return mixed
  }

  /// True: α learn from the validation half.
  public var needsValidationBatch: Bool { true }

  /// The probabilities that α are; an input that is a layer choice is as probable as the best of its
  /// candidates.
  public func probabilities() throws -> [String: [Double]] {
    try prepared.alpha.probabilities(in: prepared.space, prepared.relaxation.probabilities)
  }

  /// The official discretisation.
  public func architecture() throws -> [String: ResolvedChoice] {
    prepared.space.discretized(try probabilities())
  }

  /// Ends where early stopping says so.
  public func epochEnded(_ search: SearchContext) throws -> SearchContinuation {
    try prepared.stopping.epochEnded(prepared.alpha, try architecture(), in: prepared.space)
  }

  /// α by table.
  public var variables: [(name: String, variable: Variable)] { prepared.alpha.named }

  /// Adam of α.
  public var optimizers: [(name: String, optimizer: any Optimizer)] {
    [("alpha", prepared.optimizer)]
  }

  /// What early stopping has seen.
  public var state: JSONObject { prepared.stopping.state }

  /// Puts `state` back.
  public func restore(_ state: JSONObject, in search: SearchContext) throws {
    try prepared.stopping.restore(state)
  }
}
