/// Search by a differentiable sampler (arXiv:1910.04465): only the sampled candidate of each choice
/// runs, and every probability gets its gradient.
///
/// A pass draws Gumbel noise g and samples the candidate k of largest `p = softmax((log softmax(α) +
/// g) / τ)`. Its result is multiplied by a weight that is 1, and the weights of the others, which are
/// 0, are added to it as numbers, as in the authors' code: forward `o_k(x)`, backward `∂p_k = Σ dy ·
/// o_k(x)` and `∂p_j = Σ dy` for the others. τ falls evenly over the search. A pass for α, on a
/// validation batch, and one for the weights have a draw each.
///
/// Edges of a node are all connected; in the end a node keeps the edges whose best candidate is most
/// probable, and what is exactly zero never wins (in the authors' NAS-Bench-201 code it may). Inputs
/// that are no layer choices exist anyway: all take part with weights of 0 or 1, drawn in the same
/// way, by a sigmoid each where any number may be taken. Noise is finite by its making, so that
/// nothing is drawn again.
public final class GDAS: SearchStrategy {
  /// `gdas`.
  public static let name = "gdas"
  /// True: α learn from the validation half.
  public let needsValidationBatch = true
  private let options: AlphaOptions
  private let temperature: (first: Double, last: Double)
  private let stoppingOptions: EarlyStoppingOptions

  /// What `prepare` makes.
  private struct Search {
    var space: SearchSpace
    var alpha: AlphaTables
    var optimizer: Adam
    var stopping: EarlyStopping
  }
  private var search: Search?

  /// A search with the authors' defaults, or others.
  ///
  /// - Parameters:
  ///   - options: How α learn.
  ///   - temperature: τ at the beginning and at the end.
  ///   - maximumSkips: The search ends once a cell has so many skip connections; 0 is never.
  public init(
    _ options: AlphaOptions = AlphaOptions(),
    temperature: (first: Double, last: Double) = (10, 0.1),
    maximumSkips: Int = 0
  ) {
    self.options = options
    self.temperature = temperature
    var stopping = EarlyStoppingOptions()
    stopping.skips = maximumSkips
    stoppingOptions = stopping
  }

  /// Makes α; refuses choices whose candidates differ in shape.
  public func prepare(_ search: SearchContext) throws {
    try search.space.requireMixable()
    let alpha = try AlphaTables(search.space, deviation: options.deviation, &search.generator)
    self.search = Search(
      space: search.space, alpha: alpha, optimizer: try options.optimizer(of: alpha),
      stopping: EarlyStopping(stoppingOptions))
  }

  private var prepared: Search {
    guard let search else { preconditionFailure("GDAS: prepare(_:) comes first") }
    return search
  }

  /// One update of α, one of the weights, each along a path of its own.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let held = try validation()
    let (_, gradients) = try valueAndGradient(wrt: prepared.alpha.variables) {
      search.evaluate(try sample(search, trainsAlpha: true), held)
    }
    try prepared.optimizer.update(with: gradients)
    return try search.trainWeights(try sample(search, trainsAlpha: false), training)
  }

  /// Decisions of one draw.
  ///
  /// - Parameter trainsAlpha: Whether α get their gradient; else the weights are numbers, and what
  ///   runs is the path alone.
  private func sample(_ search: SearchContext, trainsAlpha: Bool) throws -> [String: Decision] {
    let space = prepared.space
    let progress = search.position.progress
    let tau = temperature.first + (temperature.last - temperature.first) * progress
    var result: [String: Decision] = [:]
    for choice in prepared.alpha.connected {
      result[choice.key] = Decision(.fixed, active: Array(choice.candidateNames.indices))
    }
    for table in prepared.alpha.tables {
      let draw = try GumbelDraw(table, temperature: tau, in: space)
      let hard = trainsAlpha ? draw.straightThrough : draw.mask
      let (taken, others) = (
        (hard * draw.mask).sum(axes: [1]), (hard * (1 - draw.mask)).sum(axes: [1])
      )
      for (row, key) in table.keys.enumerated() {
        if space.isInputChoice(key) {
          result[key] = Decision(
            .fixed, active: Array(0..<table.candidates), weights: hard.reshaped(to: [-1]),
            weightOffset: row * table.width)
        } else if trainsAlpha {
          result[key] = Decision(
            .sampled, active: draw.taken[row],
            mixture: StraightThrough(
              taken: taken.slice(row..<row + 1, axis: 0),
              others: others.slice(row..<row + 1, axis: 0)))
        } else {
          result[key] = Decision(.sampled, active: draw.taken[row])
        }
      }
    }
    return result
  }

  /// `softmax(α)`; an input that is a layer choice is as probable as the best of its candidates.
  public func probabilities() throws -> [String: [Double]] {
    try prepared.alpha.probabilities(in: prepared.space)
  }

  /// The most probable candidates.
  public func architecture() throws -> [String: ResolvedChoice] {
    prepared.space.discretized(try probabilities())
  }

  /// Ends where a cell has too many skip connections.
  public func epochEnded(_ search: SearchContext) throws -> SearchContinuation {
    var stopping = prepared.stopping
    return try stopping.epochEnded(prepared.alpha, try architecture(), in: prepared.space)
  }

  /// α by table.
  public var variables: [(name: String, variable: Variable)] { prepared.alpha.named }

  /// Adam of α.
  public var optimizers: [(name: String, optimizer: any Optimizer)] {
    [("alpha", prepared.optimizer)]
  }
}

/// What Gumbel noise takes of each choice of a table.
private struct GumbelDraw {
  /// The probabilities `[keys, candidates]` under this noise; they depend on α.
  private let soft: Tensor
  /// 1 at each candidate that was taken, else 0.
  let mask: Tensor
  /// The candidates that were taken, by row.
  let taken: [[Int]]

  /// - Throws: `RunError` where α are no numbers any more.
  init(_ table: AlphaTables.Table, temperature: Double, in space: SearchSpace) throws {
    let shape = table.alpha.type.shape
    let alpha = table.alpha.tensor
    let noise = Tensor.gumbel(shape)
    soft =
      table.isGate
      // The difference of two Gumbel numbers is the logistic noise of a coin.
      ? sigmoid((alpha + noise - Tensor.gumbel(shape)) / temperature)
      : softmax((logSoftmax(alpha) + noise) / temperature)
    let values: [Float] = try soft.scalars()
    var mask = [Float](repeating: 0, count: shape.count)
    taken = try table.keys.enumerated().map { row, key in
      let start = row * table.candidates
      let p = values[start..<start + table.candidates]
      guard p.allSatisfy(\.isFinite) else {
        throw RunError("\(GDAS.name): α of \(key) are no numbers; lower alpha_learning_rate")
      }
      let count = table.isGate ? p.count { $0 > 0.5 } : space.chosenCount(key)
      let order = p.indices.sorted { (p[$0], -$0) > (p[$1], -$1) }
      for index in order.prefix(count) { mask[index] = 1 }
      return order.prefix(count).map { $0 - start }.sorted()
    }
    self.mask = try Tensor(mask, shape: shape)
  }

  /// The mask with the gradient of the probabilities: exactly 0 or 1.
  var straightThrough: Tensor { withGradient(of: mask, wrt: [soft]) { [$0] } }
}

/// The sampled candidate's result, with a gradient for its own weight, which is 1, and for those of
/// the others, which are 0.
private struct StraightThrough: Mixture {
  /// The sampled candidate's weight, `[1]`.
  let taken: Tensor
  /// The sum of the others' weights, `[1]`.
  let others: Tensor

  func callAsFunction(_ candidates: MixtureCandidates) -> Tensor {
    let index = candidates.active[0]
    let output = candidates.run(index)
    let isZero = candidates.isZero(index)
    return withGradient(of: output, wrt: [output, taken, others]) { dy in
      [
        isZero ? nil : dy, isZero ? nil : (dy * output).sum().reshaped(to: [1]),
        dy.sum().reshaped(to: [1]),
      ]
    }
  }
}

extension SearchSpace {
  fileprivate func isInputChoice(_ key: String) -> Bool { mutables[key]?.first is InputChoice }

  /// How many candidates a choice takes that does not take any number.
  fileprivate func chosenCount(_ key: String) -> Int {
    (mutables[key]?.first as? InputChoice)?.chosenCount ?? 1
  }
}

extension GDAS {
  static let definition = StrategyDefinition(
    name: name, summary: "samples one candidate a choice by Gumbel-softmax, straight through",
    paper: "Dong & Yang 2019, arXiv:1910.04465",
    parameters: AlphaOptions.settings() + [
      SettingDescription("temperature", "10", "τ at the beginning"),
      SettingDescription("last_temperature", "0.1", "τ at the end"),
    ] + EarlyStoppingOptions.skipSettings,
    make: { values throws(SettingError) in
      GDAS(
        try AlphaOptions(values),
        temperature: (
          try values.number("temperature", default: 10, in: 0.001...1000),
          try values.number("last_temperature", default: 0.1, in: 0.001...1000)
        ), maximumSkips: try EarlyStoppingOptions(values).skips)
    })
}
