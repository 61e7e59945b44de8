/// Differentiable architecture search, first order (arXiv:1806.09055).
///
/// Every choice mixes its candidates by `softmax(α)`; each step α follows the loss on a validation
/// batch (Adam) and the weights the loss on a training batch:
///
/// `α ← α − η_α ∇_α L_val(w, α)`, then `w ← w − η_w ∇_w L_trn(w, α)`.
///
/// `architecture()` keeps of each layer choice the candidate of largest α that is not exactly zero,
/// and of an input choice that takes so many layer choices those whose best candidate is most
/// probable. An input choice of any number has a sigmoid gate for each input, kept above 0.5; other input choices
/// are mixed by a softmax of their own.
public final class DARTS: SearchStrategy {
  /// `darts`.
  public static let name = "darts"
  /// True: α learns from the validation half.
  public let needsValidationBatch = true

  private let learningRate: Float
  private let betas: (Double, Double)
  private let weightDecay: Float
  private let initialDeviation: Double

  /// α of all keys with one number of candidates, `[keys · candidates]` each.
  private struct Table {
    var keys: [String]
    var candidates: Int
    var isGate: Bool
    var alpha: Variable
  }
  /// What `prepare` makes.
  private struct Search {
    var space: SearchSpace
    var tables: [Table]
    /// Input choices over layer choices, which all take part until the end.
    var connected: [ChoiceDescription]
    var optimizer: Adam
  }
  private var search: Search?

  /// A DARTS search with the authors' defaults.
  ///
  /// - Parameters:
  ///   - learningRate: η_α of Adam; 3e-4 in the authors' code.
  ///   - betas: Adam's decays; (0.5, 0.999) there.
  ///   - weightDecay: On α; 1e-3 there.
  ///   - initialDeviation: α start normal with this deviation; 1e-3 there.
  public init(
    learningRate: Float = 3e-4, betas: (Double, Double) = (0.5, 0.999), weightDecay: Float = 1e-3,
    initialDeviation: Double = 1e-3
  ) {
    self.learningRate = learningRate
    self.betas = betas
    self.weightDecay = weightDecay
    self.initialDeviation = initialDeviation
  }

  /// Makes α; refuses choices whose candidates differ in shape.
  public func prepare(_ search: SearchContext) throws {
    let space = search.space
    try space.requireMixable()
    var groups: [(count: Int, isGate: Bool, keys: [String])] = []
    var connected: [ChoiceDescription] = []
    for choice in space.choices {
      let count = choice.candidateNames.count
      if choice.chosenCount != nil, choice.candidateNames.allSatisfy({ space.isLayerChoice($0) }) {
        connected.append(choice)
        continue
      }
      let isGate = choice.kind == .input && choice.chosenCount == nil
      if let index = groups.firstIndex(where: { $0.count == count && $0.isGate == isGate }) {
        groups[index].keys.append(choice.key)
      } else {
        groups.append((count, isGate, [choice.key]))
      }
    }
    let tables = try groups.map { group in
      let values = (0..<group.count * group.keys.count).map { _ in
        Float(search.generator.normal() * initialDeviation)
      }
      return Table(
        keys: group.keys, candidates: group.count, isGate: group.isGate,
        alpha: try Variable(values, shape: [group.keys.count, group.count]))
    }
    self.search = Search(
      space: space, tables: tables, connected: connected,
      optimizer: try Adam(
        tables.map { Parameter($0.alpha) }, learningRate: learningRate, betas: betas,
        weightDecay: weightDecay))
  }

  private var prepared: Search {
    guard let search else { preconditionFailure("DARTS: prepare(_:) comes first") }
    return search
  }

  /// The decisions of a mixture; recorded, so α gets its gradient.
  private func decisions() -> [String: Decision] {
    var result: [String: Decision] = [:]
    for table in prepared.tables {
      let alpha = table.alpha.tensor
      let weights = (table.isGate ? sigmoid(alpha) : softmax(alpha)).reshaped(to: [-1])
      for (row, key) in table.keys.enumerated() {
        result[key] = Decision(
          .fixed, active: Array(0..<table.candidates), weights: weights,
          weightOffset: row * table.candidates)
      }
    }
    for choice in prepared.connected {
      result[choice.key] = Decision(.fixed, active: Array(choice.candidateNames.indices))
    }
    return result
  }

  /// One update of α, one of the weights.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let held = try validation()
    let (_, gradients) = try valueAndGradient(wrt: prepared.tables.map(\.alpha)) {
      search.evaluate(decisions(), held)
    }
    try prepared.optimizer.update(with: gradients)
    let (result, weightGradients) = try valueAndGradient(wrt: search.weights.variables) {
      search.evaluate(decisions(), training)
    }
    try search.optimizer.update(with: weightGradients)
    return result
  }

  /// `softmax(α)`, or the gates' openings; an input that is a layer choice is as probable as the
  /// best of its candidates.
  public func probabilities() throws -> [String: [Double]] {
    var result: [String: [Double]] = [:]
    for table in prepared.tables {
      let alpha = table.alpha.tensor
      let values: [Float] = try (table.isGate ? sigmoid(alpha) : softmax(alpha)).scalars()
      for (row, key) in table.keys.enumerated() {
        let start = row * table.candidates
        result[key] = values[start..<start + table.candidates].map(Double.init)
      }
    }
    for choice in prepared.connected {
      result[choice.key] = choice.candidateNames.map { name in
        let p = result[name] ?? []
        return prepared.space.selectable(name, p.count).reduce(0) { max($0, p[$1]) }
      }
    }
    return result
  }

  /// The official discretisation.
  public func architecture() throws -> [String: ResolvedChoice] {
    let space = prepared.space
    let probabilities = try probabilities()
    var result: [String: ResolvedChoice] = [:]
    for choice in space.choices {
      let p = probabilities[choice.key] ?? []
      switch (choice.kind, choice.chosenCount) {
      case (.layer, _):
        // Ties go to the lowest index.
        let allowed = space.selectable(choice.key, p.count)
        result[choice.key] = ResolvedChoice(
          active: [allowed.reduce(allowed[0]) { p[$1] > p[$0] ? $1 : $0 }])
      case (.input, let count?):
        result[choice.key] = ResolvedChoice(active: top(count, p))
      case (.input, nil):
        result[choice.key] = ResolvedChoice(active: p.indices.filter { p[$0] > 0.5 })
      }
    }
    return space.withoutUnusedEdges(result)
  }

  private func top(_ count: Int, _ scores: [Double]) -> [Int] {
    let order = scores.indices.sorted { (scores[$0], -$0) > (scores[$1], -$1) }
    return Array(order.prefix(count))
  }

  /// α by table.
  public var variables: [(name: String, variable: Variable)] {
    prepared.tables.map { ("alpha.\($0.isGate ? "gate" : "choice")\($0.candidates)", $0.alpha) }
  }

  /// Adam of α.
  public var optimizers: [(name: String, optimizer: any Optimizer)] {
    [("alpha", prepared.optimizer)]
  }
}

extension DARTS {
  static let definition = StrategyDefinition(
    name: name, summary: "mixes all candidates by softmax(α), first order",
    paper: "Liu et al. 2019, arXiv:1806.09055",
    parameters: [
      SettingDescription("alpha_learning_rate", "0.0003", "Adam's learning rate for α"),
      SettingDescription("alpha_weight_decay", "0.001", "weight decay on α"),
      SettingDescription("alpha_beta1", "0.5", "Adam's decay of the mean for α"),
      SettingDescription("alpha_beta2", "0.999", "Adam's decay of the square for α"),
      SettingDescription("alpha_deviation", "0.001", "standard deviation of the first α"),
    ],
    make: { values throws(SettingError) in
      DARTS(
        learningRate: Float(try values.number("alpha_learning_rate", default: 3e-4, in: 0...10)),
        betas: (
          try values.number("alpha_beta1", default: 0.5, in: 0...0.9999),
          try values.number("alpha_beta2", default: 0.999, in: 0...0.999999)
        ),
        weightDecay: Float(try values.number("alpha_weight_decay", default: 1e-3, in: 0...10)),
        initialDeviation: try values.number("alpha_deviation", default: 1e-3, in: 0...10))
    })
}
