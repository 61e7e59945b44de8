/// One of several numbers or names: a layer's channels or kernel size, a rate, anything.
///
/// Elastic layers take it as a size (`ElasticConv2d(3, .chosen(width), kernelSize: 3)`): the weights
/// are those of the largest size, and what is chosen is a mask over them, so a sampled size is data
/// and needs no plan of its own, and strategies that mix candidates mix masks. The forward pass may
/// also read `number`, `integer` or `text`; such a choice has one candidate at a time, and
/// strategies that mix refuse it by name. What is read as a float (a rate, a factor) is data too; what
/// changes shapes or operations is planned once a candidate.
///
/// Layers that name the same `ValueChoice`, or one of the same key, share the decision. Until
/// something is decided the first candidate is taken.
public final class ValueChoice: Module, Mutable {
  /// The candidates as texts, in order: what architecture files hold.
  public let candidateNames: [String]
  /// The candidates as numbers; nil where they are names.
  private let numbers: [Double]?
  /// The key given by the user.
  public let explicitKey: String?
  /// Where the decision stands.
  public var box = DecisionBox()
  /// What was applied.
  public private(set) var applied: ResolvedChoice?
  private var appliedWeights: Tensor?
  /// Whether the model has asked which candidate it is.
  private(set) var isReadOnHost = false

  /// A choice between whole numbers.
  ///
  /// - Parameters:
  ///   - candidates: The numbers, in order.
  ///   - key: Choices of one key share the decision; by default the property path.
  /// - Precondition: There is at least one, and all are distinct and finite.
  public convenience init(_ candidates: [Int], key: String? = nil) {
    self.init(candidates.map(String.init), candidates.map(Double.init), key: key)
  }

  /// A choice between numbers.
  public convenience init(_ candidates: [Double], key: String? = nil) {
    precondition(candidates.allSatisfy(\.isFinite), "ValueChoice: \(candidates) are not finite")
    self.init(candidates.map { "\($0)" }, candidates, key: key)
  }

  /// A choice between names.
  public convenience init(_ candidates: [String], key: String? = nil) {
    self.init(candidates, nil, key: key)
  }

  private init(_ names: [String], _ numbers: [Double]?, key: String?) {
    precondition(
      !names.isEmpty && Set(names).count == names.count && !names.contains(""),
      "ValueChoice: candidates \(names) must be distinct, at least one and none empty")
    candidateNames = names
    self.numbers = numbers
    explicitKey = key
  }

  /// Number of candidates.
  public var count: Int { candidateNames.count }

  /// The candidates as whole numbers; nil where they are none.
  public var integers: [Int]? {
    guard let numbers else { return nil }
    let whole = numbers.compactMap { Int(exactly: $0) }
    return whole.count == numbers.count ? whole : nil
  }

  // MARK: Read by the forward pass

  /// The chosen number.
  /// - Precondition: The candidates are numbers, and one of them is chosen.
  public var number: Double {
    guard let numbers else {
      preconditionFailure("ValueChoice \(label): candidates \(candidateNames) are no numbers")
    }
    return numbers[chosenIndex()]
  }

  /// The chosen whole number.
  public var integer: Int {
    guard let integers else {
      preconditionFailure("ValueChoice \(label): candidates \(candidateNames) are not whole")
    }
    return integers[chosenIndex()]
  }

  /// The chosen candidate's text.
  public var text: String { candidateNames[chosenIndex()] }

  private func chosenIndex() -> Int {
    if let check = ShapeCheck.current {
      isReadOnHost = true
      check.meet(self)
      return 0
    }
    let decision = decision()
    precondition(
      decision.active.count == 1,
      "ValueChoice \(label): \(decision.active.count) candidates are active, its number is read")
    return decision.active[0]
  }

  /// The chosen candidate's tensor, or what a mixture makes of all.
  ///
  /// - Parameter tensors: One of each candidate, all of one shape: masks, as elastic layers have.
  public func callAsFunction(_ tensors: [Tensor]) -> Tensor {
    precondition(
      tensors.count == count, "ValueChoice \(label): \(tensors.count) tensors for \(count)")
    ShapeCheck.current?.meet(self)
    let decision = decision()
    if decision.active.count == 1 && decision.weights == nil && decision.mixture is WeightedSum {
      return tensors[decision.active[0]]
    }
    return decision.mixture(
      MixtureCandidates(
        input: tensors[0], active: decision.active, weights: decision.weights,
        weightOffset: decision.weightOffset, run: { tensors[$0] }, isZero: { _ in false }))
  }

  private var label: String { box.key ?? explicitKey ?? "choice" }

  private func decision() -> Decision {
    if let applied {
      return Decision(.fixed, active: applied.active, weights: appliedWeights)
    }
    return currentDecision(default: .fixed(0))
  }

  // MARK: Architectures

  /// Each candidate where the model asks which it is; else one shows all, since masks are data.
  public var rehearsalVariants: [[Int]] { isReadOnHost ? (0..<count).map { [$0] } : [[0]] }

  /// Kind, key and candidates.
  public func description(key: String) -> ChoiceDescription {
    ChoiceDescription(key: key, kind: .value, candidateNames: candidateNames)
  }

  /// Keeps the decision; elastic layers are cut to it afterwards.
  public func apply(_ choice: ResolvedChoice) {
    precondition(applied == nil, "ValueChoice \(label): an architecture was applied already")
    if let weights = choice.weights {
      appliedWeights = Parameter(weights.map { Float($0) }, shape: [weights.count]).value
    }
    applied = choice
  }
}
