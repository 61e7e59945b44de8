/// Efficient neural architecture search (arXiv:1802.03268).
///
/// A recurrent controller samples an architecture a step, whose weights are trained; every so many
/// steps it samples several, scores each on a validation batch with the shared weights, and learns by
/// REINFORCE:
///
/// `loss = mean_b (R_b − baseline) · −log p(a_b) + skipWeight · KL(p_skip ‖ skipTarget)`,
/// `R = score + entropyWeight · H`, `baseline ← d · baseline + (1 − d) · R` before it is used.
///
/// Deviations from the authors' code: controller updates stand between weight steps instead of behind
/// each epoch; the baseline starts at the first reward instead of 0; H is the exact entropy of each
/// decision and the KL that of its true probabilities, where the code takes one-sample and
/// one-sided stand-ins; no bias on operations by their names; rewards are taken with batch
/// statistics. The result is the best of N samples by validation, never one more random sample.
public final class ENAS: SearchStrategy {
  /// `enas`.
  public static let name = "enas"
  /// True: rewards come from the validation half.
  public let needsValidationBatch = true

  /// The controller's hyper-parameters.
  public struct Settings: Sendable, Equatable {
    /// Adam's learning rate; 0.0035 in the authors' micro search, 0.001 in the macro one.
    public var learningRate: Float = 0.0035
    /// Weight steps between two controller updates.
    public var interval = 10
    /// Architectures in an update.
    public var samples = 10
    /// Weight of the entropy in the reward.
    public var entropyWeight = 1e-4
    /// Weight of the skip penalty.
    public var skipWeight: Float = 0.8
    /// The share of skip connections that it pulls to.
    public var skipTarget = 0.4
    /// Decay of the baseline.
    public var baselineDecay = 0.99
    /// Units of the LSTM.
    public var hidden = 64
    /// Logits are divided by it.
    public var temperature: Float = 1
    /// Bound of the logits; 0: none.
    public var tanhConstant: Float = 1.5
    /// The largest norm of the controller's gradient.
    public var clipNorm: Float = 5

    /// The defaults.
    public init() {}
  }

  private let settings: Settings
  /// What `prepare` makes.
  private struct Search {
    var space: SearchSpace
    var controller: ENASController
    var optimizer: Adam
  }
  private var search: Search?
  private var baseline: Double?
  /// The mean probabilities at the last update.
  private var mean: [Double] = []

  /// An ENAS search.
  public init(_ settings: Settings = Settings()) { self.settings = settings }

  /// Makes the controller, on the CPU.
  public func prepare(_ search: SearchContext) throws {
    var sizes = ENASController.Settings()
    sizes.hidden = settings.hidden
    sizes.temperature = settings.temperature
    sizes.tanhConstant = settings.tanhConstant
    sizes.skipTarget = settings.skipTarget
    self.search = try Device.with(.cpu) {
      let controller = ENASController(search.space, sizes, &search.generator)
      return Search(
        space: search.space, controller: controller,
        optimizer: try Adam(
          controller.parameters.map(\.parameter), learningRate: settings.learningRate,
          clipNorm: settings.clipNorm))
    }
    baseline = nil
    mean = prepared.controller.uniform
  }

  private var prepared: Search {
    guard let search else { preconditionFailure("ENAS: prepare(_:) comes first") }
    return search
  }

  /// Proposed architectures with their actions, mean probabilities and entropies.
  private struct Proposal {
    var actions: [Float]
    var choices: [[String: ResolvedChoice]]
    var mean: [Double]
    var entropies: [Double]
  }

  /// Actions, probabilities and entropy of new architectures beside each other: one read.
  private func sample(_ count: Int, _ search: SearchContext) throws -> Tensor {
    let controller = prepared.controller
    let noise = controller.noise(count, &search.generator)
    return try Device.with(.cpu) {
      let pass = controller(count, .noise(try Tensor(noise, shape: [count, controller.width])))
      return concatenate(
        [pass.actions, pass.probabilities, pass.entropy.reshaped(to: [count, 1])], axis: 1)
    }
  }

  private func proposal(_ sample: Tensor) throws -> Proposal {
    let (count, columns) = (sample.shape[0], sample.shape[1])
    let width = prepared.controller.width
    let values: [Float] = try sample.scalars()
    let rows = (0..<count).map { values[$0 * columns..<($0 + 1) * columns] }
    return Proposal(
      actions: rows.flatMap { $0.prefix(width) },
      choices: rows.map {
        prepared.space.withoutUnusedEdges(prepared.controller.choices($0.prefix(width)))
      },
      mean: (0..<width).map { column in
        rows.reduce(0) { $0 + Double($1[$1.startIndex + width + column]) } / Double(count)
      },
      entropies: rows.map { Double($0[$0.endIndex - 1]) })
  }

  /// Trains one proposed architecture; every `interval` steps, and at an epoch's last, the
  /// controller.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let choices = try proposal(try sample(1, search)).choices[0]
    let result = try search.trainWeights(prepared.space.sampledDecisions(choices), training)
    let position = search.position
    let number = position.step % position.stepsPerEpoch + 1
    if search.isRehearsing || number % settings.interval == 0
      || (number == position.stepsPerEpoch && number < settings.interval)
    {
      try updateController(search, validation)
    }
    return result
  }

  private func updateController(_ search: SearchContext, _ validation: () throws -> TensorBatch)
    throws
  {
    let controller = prepared.controller
    let count = settings.samples
    let proposal = try proposal(try sample(count, search))
    var advantages: [Float] = []
    for (choices, entropy) in zip(proposal.choices, proposal.entropies) {
      let batch = try validation()
      let result = Mode.with(.supernetEvaluation) {
        search.evaluate(prepared.space.sampledDecisions(choices), batch)
      }
      let reward = try search.score(result) + settings.entropyWeight * entropy
      let decay = settings.baselineDecay
      let current = baseline.map { decay * $0 + (1 - decay) * reward } ?? reward
      if !search.isRehearsing { baseline = current }
      advantages.append(Float(reward - current))
    }
    if !search.isRehearsing { mean = proposal.mean }
    _ = try Device.with(.cpu) {
      try ENAS.update(
        controller, prepared.optimizer, actions: proposal.actions, advantages: advantages,
        skipWeight: settings.skipWeight)
    }
  }

  /// One update of REINFORCE on given architectures; the loss.
  static func update(
    _ controller: ENASController, _ optimizer: Adam, actions: [Float], advantages: [Float],
    skipWeight: Float
  ) throws -> Tensor {
    let count = advantages.count
    let actions = try Tensor(actions, shape: [count, controller.width])
    let weights = try Tensor(advantages)
    let (loss, gradients) = try valueAndGradient(
      wrt: controller.parameters.map(\.parameter.variable)
    ) {
      let pass = controller(count, .actions(actions))
      return (pass.negativeLogLikelihood * weights).mean()
        + pass.skipPenalty.mean() * skipWeight
    }
    try optimizer.update(with: gradients)
    return loss
  }

  /// The mean over the architectures of the last update.
  public func probabilities() throws -> [String: [Double]] {
    prepared.controller.probabilities(mean)
  }

  /// The most probable candidate of each choice, by `probabilities()`.
  public func architecture() throws -> [String: ResolvedChoice] {
    let space = prepared.space
    return space.mostProbable(try probabilities()) { space.drawable($0, $1) }
  }

  /// The best of N sampled architectures by validation with the shared weights.
  public func finish(_ search: SearchContext, evaluate: CandidateEvaluator) throws
    -> [String: ResolvedChoice]
  {
    var best: (choices: [String: ResolvedChoice], score: Double)?
    for _ in 0..<max(1, search.evaluations) {
      let choices = try proposal(try EspalierTensor.step { try sample(1, search) }).choices[0]
      let score = try evaluate(choices)
      if score > best?.score ?? -.infinity { best = (choices, score) }
    }
    return try best?.choices ?? architecture()
  }

  /// The controller's weights.
  public var variables: [(name: String, variable: Variable)] {
    prepared.controller.parameters.map { ("controller.\($0.name)", $0.parameter.variable) }
  }

  /// Adam of the controller.
  public var optimizers: [(name: String, optimizer: any Optimizer)] {
    [("controller", prepared.optimizer)]
  }

  /// The baseline and the probabilities of the last update.
  public var state: JSONObject {
    var object: JSONObject = ["mean": .array(mean.map { .number($0) })]
    object["baseline"] = baseline.map { .number($0) }
    return object
  }

  /// Puts the baseline and the probabilities back.
  public func restore(_ state: JSONObject, in search: SearchContext) throws {
    guard case .array(let values)? = state["mean"], values.count == prepared.controller.width else {
      throw RunError("checkpoint: the state of enas has no probabilities of this space")
    }
    mean = values.compactMap(\.double)
    baseline = state["baseline"]?.double
  }
}

extension ENAS {
  static let definition: StrategyDefinition = {
    let d = Settings()
    return StrategyDefinition(
      name: name,
      summary: "a recurrent controller learns from the accuracy of sampled paths; "
        + "exports the best of N samples by validation",
      paper: "Pham et al. 2018, arXiv:1802.03268",
      parameters: [
        SettingDescription(
          "controller_learning_rate", "\(d.learningRate)", "Adam's learning rate"),
        SettingDescription(
          "controller_interval", "\(d.interval)", "weight steps between controller updates"),
        SettingDescription("controller_samples", "\(d.samples)", "architectures in an update"),
        SettingDescription("controller_hidden", "\(d.hidden)", "units of the LSTM"),
        SettingDescription("entropy_weight", "\(d.entropyWeight)", "weight of the entropy"),
        SettingDescription("skip_weight", "\(d.skipWeight)", "weight of the skip penalty"),
        SettingDescription("skip_target", "\(d.skipTarget)", "share of skips that it pulls to"),
        SettingDescription("baseline_decay", "\(d.baselineDecay)", "decay of the baseline"),
        SettingDescription("temperature", "\(d.temperature)", "divides the logits"),
        SettingDescription("tanh_constant", "\(d.tanhConstant)", "bounds the logits; 0: not"),
      ],
      make: { values throws(SettingError) in
        var s = Settings()
        s.learningRate = Float(
          try values.number(
            "controller_learning_rate", default: Double(s.learningRate), in: 0...10))
        s.interval = try values.integer(
          "controller_interval", default: s.interval, in: 1...1_000_000)
        s.samples = try values.integer("controller_samples", default: s.samples, in: 1...10_000)
        s.hidden = try values.integer("controller_hidden", default: s.hidden, in: 1...4096)
        s.entropyWeight = try values.number(
          "entropy_weight", default: s.entropyWeight, in: 0...1000)
        s.skipWeight = Float(
          try values.number("skip_weight", default: Double(s.skipWeight), in: 0...1000))
        s.skipTarget = try values.number("skip_target", default: s.skipTarget, in: 0.001...0.999)
        s.baselineDecay = try values.number(
          "baseline_decay", default: s.baselineDecay, in: 0...1)
        s.temperature = Float(
          try values.number("temperature", default: Double(s.temperature), in: 0.001...1000))
        s.tanhConstant = Float(
          try values.number("tanh_constant", default: Double(s.tanhConstant), in: 0...1000))
        return ENAS(s)
      })
  }()
}
