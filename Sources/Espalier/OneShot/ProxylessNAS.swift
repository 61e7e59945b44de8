import Foundation

/// ProxylessNAS: binary gates on sampled paths (arXiv:1812.00332).
///
/// Each step trains the weights of one path drawn by `p = softmax(α)`. Behind the warm-up, every so
/// many steps α learns from a validation batch (Adam, β₁ = 0), from `∂L/∂g` of the gates:
///
/// `∂L/∂α_i = Σ_j ∂L/∂g_j · p_j · (δ_ij − p_i)`.
///
/// `full-v2` takes all gates, other candidates running in the backward pass; `two` draws two
/// candidates, runs both, and moves only their α, whose summed weight stays; `reinforce` needs no
/// gradient through the network. The result is the most probable candidate of each choice.
/// Deviations: the warm-up's learning rate is the search's own; choices of one key share α.
public final class ProxylessNAS: SearchStrategy {
  /// `proxyless`.
  public static let name = "proxyless"
  /// True: α learns from the validation half.
  public let needsValidationBatch = true

  /// How α gets its gradient.
  public enum GradientMode: String, CaseIterable, Sendable {
    /// All gates, with the memory of one path.
    case fullV2 = "full-v2"
    /// Two gates, with the memory of two paths.
    case two
    /// The score of sampled paths.
    case reinforce
  }

  /// The hyper-parameters.
  public struct Settings: Sendable, Equatable {
    /// How α gets its gradient.
    public var mode = GradientMode.fullV2
    /// Adam's learning rate for α.
    public var learningRate: Float = 1e-3
    /// Weight steps between two updates of α.
    public var interval = 5
    /// Share of the search in which only weights learn.
    public var warmUp = 0.25
    /// Paths of an update by `reinforce`.
    public var samples = 10
    /// Decay of the baseline of `reinforce`.
    public var baselineDecay = 0.99
    /// The standard deviation of the first α.
    public var deviation = 1e-3
    /// The cost in the loss of α; nil is none.
    public var cost: CostPenalty?

    /// The authors' values.
    public init() {}
  }

  private let settings: Settings
  /// What `prepare` makes.
  private struct Search {
    var space: SearchSpace
    var alpha: AlphaTables
    /// A vector of gates a key; only their gradients and, in `two`, which is 1 count.
    var gates: [String: Variable]
    var optimizer: Adam
  }
  private var search: Search?
  private var baseline: Double?
  /// α of each key on the host, until they change.
  private var onHost: [String: [Double]]?

  /// A ProxylessNAS search.
  public init(_ settings: Settings = Settings()) { self.settings = settings }

  /// Makes α and gates; refuses input choices.
  public func prepare(_ search: SearchContext) throws {
    for choice in search.space.choices where choice.kind == .input {
      throw SpaceError.undecidable(
        key: choice.key, strategy: ProxylessNAS.name,
        reason:
          "its gates are for layers, and this chooses something else; darts, fbnet and enas can")
    }
    let alpha = try AlphaTables(
      search.space, deviation: settings.deviation, &search.generator)
    var gates: [String: Variable] = [:]
    for table in alpha.tables {
      for key in table.keys {
        gates[key] = try Variable(
          [Float](repeating: 1, count: table.candidates), shape: [table.candidates])
      }
    }
    self.search = Search(
      space: search.space, alpha: alpha, gates: gates,
      optimizer: try Adam(
        alpha.variables.map { Parameter($0) }, learningRate: settings.learningRate,
        betas: (0, 0.999)))
    (baseline, onHost) = (nil, nil)
  }

  private var prepared: Search {
    guard let search else { preconditionFailure("ProxylessNAS: prepare(_:) comes first") }
    return search
  }

  // MARK: Drawing on the host

  private func hostAlpha() throws -> [String: [Double]] {
    if let onHost { return onHost }
    var result: [String: [Double]] = [:]
    for table in prepared.alpha.tables {
      let values: [Float] = try table.alpha.scalars()
      for (row, key) in table.keys.enumerated() {
        result[key] = (0..<table.candidates).map { Double(values[row * table.candidates + $0]) }
      }
    }
    onHost = result
    return result
  }

  /// A path drawn by `softmax(α)`: the active candidate of each key.
  private func path(_ search: SearchContext) throws -> [String: Int] {
    let alpha = try hostAlpha()
    var result: [String: Int] = [:]
    for choice in prepared.space.choices {
      result[choice.key] = Categorical(logits: alpha[choice.key] ?? []).draw(&search.generator)
    }
    return result
  }

  // MARK: Steps

  /// Trains one path's weights; every `interval` steps behind the warm-up, and at an epoch's last, α.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let result = try search.trainWeights(
      try path(search).mapValues { Decision.sampled($0) }, training)
    let position = search.position
    let number = position.step % position.stepsPerEpoch + 1
    let isDue =
      number % settings.interval == 0
      || (number == position.stepsPerEpoch && number < settings.interval)
    if search.isRehearsing || (isDue && position.progress >= settings.warmUp)
      // Even the shortest search ends with an update of every kind.
      || (position.step == position.stepCount - 1 && settings.warmUp < 1)
    {
      switch settings.mode {
      case .fullV2: try updateAll(search, try validation(), along: try path(search))
      case .two: try updateTwo(search, try validation(), among: try pairs(search))
      case .reinforce: try reinforce(search, validation)
      }
    }
    return result
  }

  /// One update of α by the gates of a path.
  func updateAll(_ search: SearchContext, _ batch: TensorBatch, along path: [String: Int]) throws {
    var decisions: [String: Decision] = [:]
    for (key, active) in path {
      decisions[key] = Decision(
        .sampled, active: [active], weights: prepared.gates[key]?.tensor, mixture: BinaryGates())
    }
    let gates = try gateGradients(decisions, search, batch)
    try updateAlpha(gates, search) { softmax($0.alpha.tensor) }
  }

  /// The loss and its gradient towards the gates of each key.
  private func gateGradients(
    _ decisions: [String: Decision], _ search: SearchContext, _ batch: TensorBatch
  ) throws -> (loss: Tensor, gradients: [String: Tensor]) {
    let gates = prepared.gates
    let keys = gates.keys.sorted()
    let (value, gradients) = try valueAndGradient(wrt: keys.compactMap { gates[$0] }) {
      search.evaluate(decisions, batch)
    }
    var result: [String: Tensor] = [:]
    for key in keys { result[key] = gates[key].flatMap { gradients[$0] } }
    return (value.loss, result)
  }

  /// One update along `Σ_j ∂L/∂g_j · p_j`, whose gradient is the chain rule's, and along the cost.
  ///
  /// - Parameter probabilities: p of a table, as it follows from α; recorded.
  private func updateAlpha(
    _ gates: (loss: Tensor, gradients: [String: Tensor]), _ search: SearchContext,
    _ probabilities: (AlphaTables.Table) throws -> Tensor
  ) throws {
    let tables = prepared.alpha.tables
    let (_, gradients) = try valueAndGradient(wrt: prepared.alpha.variables) {
      let shares = try tables.map(probabilities)
      let sum = addAll(
        zip(tables, shares).map { table, share in
          let towards = table.keys.map { gates.gradients[$0] ?? Tensor(zeros: [table.candidates]) }
          return (share * stopGradient(stack(towards))).sum()
        })
      guard let cost = settings.cost else { return sum }
      let mixtures = prepared.alpha.mixtures { table in
        shares[tables.firstIndex { $0.alpha === table.alpha } ?? 0]
      }
      let expected = try search.costs().expected(mixtures, cost.key)
      let along = cost.form == .multiply ? sum * stopGradient(cost.factor(expected)) : sum
      return along + cost(stopGradient(gates.loss), expected: expected)
    }
    try prepared.optimizer.update(with: gradients)
    onHost = nil
  }

  /// Two candidates of each key, and which of them is active; of a single candidate one.
  private func pairs(_ search: SearchContext) throws -> [String: (pair: [Int], active: Int)] {
    let alpha = try hostAlpha()
    var result: [String: (pair: [Int], active: Int)] = [:]
    for choice in prepared.space.choices {
      let values = alpha[choice.key] ?? []
      let first = Categorical(logits: values).draw(&search.generator)
      let others = values.indices.filter { $0 != first }
      guard !others.isEmpty else {
        result[choice.key] = ([first], first)
        continue
      }
      let second = Categorical(logits: values, among: others).draw(&search.generator)
      let pair = [first, second].sorted()
      result[choice.key] = (
        pair, Categorical(logits: values, among: pair).draw(&search.generator)
      )
    }
    return result
  }

  /// One update of the α of two candidates a key.
  func updateTwo(
    _ search: SearchContext, _ batch: TensorBatch, among drawn: [String: (pair: [Int], active: Int)]
  ) throws {
    let before = try hostAlpha()
    var decisions: [String: Decision] = [:]
    for (key, (pair, active)) in drawn {
      guard let gates = prepared.gates[key] else { continue }
      try gates.assign((0..<gates.tensor.shape[0]).map { $0 == active ? Float(1) : 0 })
      decisions[key] = Decision(.sampled, active: pair, weights: gates.tensor)
    }
    let pairs = drawn.mapValues(\.pair)
    let gates = try gateGradients(decisions, search, batch)
    try updateAlpha(gates, search) { table in
      // Far below any α, so that the softmax is the pair's.
      let mask = table.keys.flatMap { key in
        (0..<table.candidates).map { pairs[key]?.contains($0) == true ? Float(0) : -1e9 }
      }
      return softmax(
        table.alpha.tensor + (try Tensor(mask, shape: [table.keys.count, table.candidates])))
    }
    try keepWeight(of: pairs, before: before)
    onHost = nil
  }

  /// Shifts both α of each pair so that the sum of their exponentials is what it was.
  private func keepWeight(of pairs: [String: [Int]], before: [String: [Double]]) throws {
    for table in prepared.alpha.tables {
      var values: [Float] = try table.alpha.scalars()
      for (row, key) in table.keys.enumerated() {
        guard let pair = pairs[key], let old = before[key] else { continue }
        let start = row * table.candidates
        let now = pair.reduce(0) { $0 + exp(Double(values[start + $1])) }
        let then = pair.reduce(0) { $0 + exp(old[$1]) }
        for index in pair { values[start + index] -= Float(log(now / then)) }
      }
      if !Rehearsal.isRunning { try table.alpha.assign(values) }
    }
  }

  private func reinforce(_ search: SearchContext, _ validation: () throws -> TensorBatch) throws {
    var paths: [(active: [String: Int], reward: Double)] = []
    for _ in 0..<settings.samples {
      let active = try path(search)
      let batch = try validation()
      let result = Mode.with(.supernetEvaluation) {
        search.evaluate(active.mapValues { Decision.sampled($0) }, batch)
      }
      paths.append((active, try search.score(result)))
    }
    let count = Double(paths.count)
    let mean = paths.reduce(0) { $0 + $1.reward } / count
    let decay = settings.baselineDecay
    let current = baseline.map { decay * $0 + (1 - decay) * mean } ?? mean
    if !search.isRehearsing { baseline = current }
    // −(R − b) · log p, one row of advantages by candidate a key.
    let tables = prepared.alpha.tables
    let advantages = try tables.map { table in
      try Tensor(
        table.keys.flatMap { key in
          (0..<table.candidates).map { index in
            Float(
              paths.reduce(0) { sum, path in
                path.active[key] == index ? sum + (path.reward - current) / count : sum
              })
          }
        }, shape: [table.keys.count, table.candidates])
    }
    let (_, gradients) = try valueAndGradient(wrt: prepared.alpha.variables) {
      -addAll(
        zip(tables, advantages).map { (logSoftmax($0.alpha.tensor) * $1).sum() })
    }
    try prepared.optimizer.update(with: gradients)
    onHost = nil
  }

  // MARK: Results

  /// `softmax(α)`.
  public func probabilities() throws -> [String: [Double]] {
    try prepared.alpha.probabilities(in: prepared.space)
  }

  /// The most probable candidates.
  public func architecture() throws -> [String: ResolvedChoice] {
    let space = prepared.space
    return space.mostProbable(try probabilities()) { space.drawable($0, $1) }
  }

  /// α by table.
  public var variables: [(name: String, variable: Variable)] { prepared.alpha.named }

  /// Adam of α.
  public var optimizers: [(name: String, optimizer: any Optimizer)] {
    [("alpha", prepared.optimizer)]
  }

  /// The baseline of `reinforce`.
  public var state: JSONObject {
    baseline.map { ["baseline": .number($0)] } ?? [:]
  }

  /// Puts the baseline back; α are read from the checkpoint behind it.
  public func restore(_ state: JSONObject, in search: SearchContext) throws {
    baseline = state["baseline"]?.double
    onHost = nil
  }
}

extension ProxylessNAS {
  static let definition: StrategyDefinition = {
    let d = Settings()
    return StrategyDefinition(
      name: name, summary: "sampled paths whose binary gates learn; exports the most probable",
      paper: "Cai et al. 2019, arXiv:1812.00332",
      parameters: [
        SettingDescription(
          "alpha_mode", d.mode.rawValue,
          "how α learns: \(GradientMode.allCases.map(\.rawValue).joined(separator: ", "))"),
        SettingDescription("alpha_learning_rate", "\(d.learningRate)", "Adam's rate for α"),
        SettingDescription("alpha_interval", "\(d.interval)", "weight steps between updates of α"),
        SettingDescription(
          "warm_up", "\(d.warmUp)", "share of the search that trains weights only"),
        SettingDescription("alpha_samples", "\(d.samples)", "reinforce: paths of an update"),
        SettingDescription("baseline_decay", "\(d.baselineDecay)", "reinforce: of the baseline"),
        SettingDescription("alpha_deviation", "\(d.deviation)", "deviation of the first α"),
      ]
        + CostPenalty.settings(
          default: nil, scale: 0.2, exponent: 0.3, reference: "80000000.0"),
      make: { values throws(SettingError) in
        var s = Settings()
        if let text = values.texts["alpha_mode"] {
          guard let mode = GradientMode(rawValue: text) else {
            throw SettingError(
              name: "alpha_mode", value: text,
              expected: GradientMode.allCases.map(\.rawValue).joined(separator: ", "))
          }
          s.mode = mode
        }
        s.learningRate = Float(
          try values.number("alpha_learning_rate", default: Double(s.learningRate), in: 0...10))
        s.interval = try values.integer("alpha_interval", default: s.interval, in: 1...1_000_000)
        s.warmUp = try values.number("warm_up", default: s.warmUp, in: 0...1)
        s.samples = try values.integer("alpha_samples", default: s.samples, in: 1...10_000)
        s.baselineDecay = try values.number(
          "baseline_decay", default: s.baselineDecay, in: 0...1)
        s.deviation = try values.number("alpha_deviation", default: s.deviation, in: 0...10)
        s.cost = try CostPenalty(
          values, default: nil, scale: 0.2, exponent: 0.3, reference: 80_000_000)
        return ProxylessNAS(s)
      })
  }()
}
