/// One of several layers: which, a strategy decides.
///
/// Stands wherever a layer stands; the forward pass does not change. Candidates may hold choices
/// themselves. Until something is decided the first candidate runs.
public final class LayerChoice: Module, Layer, Mutable {
  /// The candidates with their names, in order.
  public private(set) var candidates: [(name: String, layer: any Layer)]
  /// The key given by the user.
  public let explicitKey: String?
  /// Where the decision stands.
  public var box = DecisionBox()
  /// What was applied: the candidates kept.
  public private(set) var applied: ResolvedChoice?
  private var appliedWeights: Tensor?
  /// Other names that architecture files may use, and the order in which integers count there.
  private var synonyms: [String: String] = [:]
  private var integerNames: [String]?

  /// A choice between named layers.
  ///
  /// - Parameters:
  ///   - candidates: Names and layers, in order.
  ///   - key: Choices of one key share the decision; by default the property path.
  /// - Precondition: Names are distinct and not empty; there is at least one.
  public init(_ candidates: KeyValuePairs<String, any Layer>, key: String? = nil) {
    self.candidates = candidates.map { ($0.key, $0.value) }
    explicitKey = key
    super.init()
    check()
  }

  /// A choice between layers named "0", "1", ….
  public init(_ candidates: [any Layer], key: String? = nil) {
    self.candidates = candidates.enumerated().map { ("\($0.offset)", $0.element) }
    explicitKey = key
    super.init()
    check()
  }

  /// A choice whose architecture files may use other names and count in another order.
  public init(
    named candidates: [(name: String, layer: any Layer)], key: String,
    synonyms: [String: String], integerNames: [String]
  ) {
    self.candidates = candidates
    explicitKey = key
    self.synonyms = synonyms
    self.integerNames = integerNames
    super.init()
    check()
  }

  private func check() {
    precondition(!candidates.isEmpty, "LayerChoice: no candidates")
    precondition(
      Set(candidates.map(\.name)).count == candidates.count
        && candidates.allSatisfy { !$0.name.isEmpty },
      "LayerChoice: names \(candidates.map(\.name)) are not distinct")
  }

  // MARK: A collection of candidates

  /// Number of candidates.
  public var count: Int { candidates.count }
  /// The candidates' names.
  public var names: [String] { candidates.map(\.name) }

  /// The candidate at a position, counted from the end when negative; assigning replaces it.
  public subscript(index: Int) -> any Layer {
    get { candidates[normalized(index)].layer }
    set {
      checkOpen()
      candidates[normalized(index)].layer = newValue
    }
  }

  /// The candidate of a name; assigning replaces it.
  public subscript(name: String) -> any Layer {
    get { candidates[position(of: name)].layer }
    set {
      checkOpen()
      candidates[position(of: name)].layer = newValue
    }
  }

  /// The candidates of a range.
  public subscript(range: Range<Int>) -> [any Layer] { candidates[range].map(\.layer) }

  /// Adds a candidate; without a name it is called by the first free number.
  public func append(_ layer: any Layer, name: String? = nil) {
    checkOpen()
    candidates.append((name ?? freeName(), layer))
    check()
  }

  /// Inserts a candidate.
  public func insert(_ layer: any Layer, at index: Int, name: String? = nil) {
    checkOpen()
    candidates.insert((name ?? freeName(), layer), at: index)
    check()
  }

  /// Removes the candidate at a position; names of the others stay.
  public func remove(at index: Int) {
    checkOpen()
    candidates.remove(at: normalized(index))
    check()
  }

  /// Removes the candidate of a name.
  public func remove(_ name: String) { remove(at: position(of: name)) }

  /// Removes the candidates of a range.
  public func remove(_ range: Range<Int>) {
    checkOpen()
    candidates.removeSubrange(range)
    check()
  }

  private func checkOpen() {
    precondition(
      box.space == nil && applied == nil,
      "LayerChoice \(box.key ?? ""): candidates are fixed once the choice belongs to a space")
  }

  private func freeName() -> String {
    var number = candidates.count
    while names.contains("\(number)") { number += 1 }
    return "\(number)"
  }

  private func normalized(_ index: Int) -> Int {
    let position = index < 0 ? index + candidates.count : index
    precondition(
      candidates.indices.contains(position),
      "LayerChoice: candidate \(index) of \(candidates.count)")
    return position
  }

  private func position(of name: String) -> Int {
    guard let position = candidates.firstIndex(where: { $0.name == name }) else {
      preconditionFailure("LayerChoice: no candidate \(name), there are \(names)")
    }
    return position
  }

  // MARK: A module

  /// The candidates by name; of a pruned choice, what its only candidate holds.
  public override var children: [(name: String, member: any ModuleMember)] {
    if applied != nil && candidates.count == 1 { return [("", candidates[0].layer)] }
    return candidates.map { ($0.name, $0.layer) }
  }

  /// The candidates kept under the names they had in the supernet.
  public override var supernetChildren: [(name: String, member: any ModuleMember)] {
    candidates.map { ($0.name, $0.layer) }
  }

  /// The output of what was decided.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    if let check = ShapeCheck.current { return check.run(self, x) }
    if applied != nil {
      if candidates.isEmpty { return x.zerosLike() }
      return mix(Decision(.fixed, active: Array(candidates.indices), weights: appliedWeights), x)
    }
    return mix(currentDecision(default: .fixed(0)), x)
  }

  /// The output and which candidates gave it.
  public func withMask(_ x: Tensor) -> (output: Tensor, mask: ChoiceMask) {
    ShapeCheck.current?.show(box.key ?? "")
    let output = self(x)
    if let applied {
      let count = originalCount ?? candidates.count
      return (output, ChoiceMask((0..<count).map { applied.active.contains($0) }))
    }
    let active = (box.decision ?? .fixed(0)).active
    return (output, ChoiceMask(candidates.indices.map { active.contains($0) }))
  }

  private var originalCount: Int?

  private func mix(_ decision: Decision, _ x: Tensor) -> Tensor {
    func isZero(_ index: Int) -> Bool { candidates[index].layer is any ZeroLayer }
    let isSampled = decision.kind == .sampled
    let key = box.key ?? "choice"
    if isSampled && decision.active.count > 1 && decision.mixture is WeightedSum {
      return mixSampled(decision, x)
    }
    if isSampled { ChoiceMarks.begin(key: key, inputs: [x]) }
    var output: Tensor
    if decision.active.count == 1 && decision.weights == nil && decision.mixture is WeightedSum {
      output = candidates[decision.active[0]].layer(x)
    } else {
      precondition(!decision.active.isEmpty, "LayerChoice \(key): no candidate is active")
      output = decision.mixture(
        MixtureCandidates(
          input: x, active: decision.active, weights: decision.weights,
          weightOffset: decision.weightOffset,
          run: { [candidates] in candidates[$0].layer(x) }, isZero: isZero))
    }
    if isSampled {
      output = ChoiceMarks.leave(output, carriesGradient: true)
      ChoiceMarks.end(key: key)
    }
    return output
  }

  /// Several sampled candidates, each planned by itself: what adds them up is the same for any of them.
  private func mixSampled(_ decision: Decision, _ x: Tensor) -> Tensor {
    let key = box.key ?? "choice"
    return decision.mixture(
      MixtureCandidates(
        input: x, active: decision.active, weights: decision.weights,
        weightOffset: decision.weightOffset,
        run: { [candidates] index in
          ChoiceMarks.begin(key: key, inputs: [x])
          let output = ChoiceMarks.leave(candidates[index].layer(x), carriesGradient: true)
          ChoiceMarks.end(key: key)
          return output
        }, isZero: { _ in false }))
  }

  // MARK: Architectures

  /// Each candidate on its own.
  public var rehearsalVariants: [[Int]] { candidates.indices.map { [$0] } }

  /// Kind, key and candidate names.
  public func description(key: String) -> ChoiceDescription {
    ChoiceDescription(
      key: key, kind: .layer, candidateNames: names, chosenCount: nil, synonyms: synonyms,
      integerNames: integerNames)
  }

  /// Keeps the active candidates; of a soft choice all with weight, mixed by these weights.
  public func apply(_ choice: ResolvedChoice) {
    precondition(
      applied == nil, "LayerChoice \(box.key ?? ""): an architecture was applied already")
    originalCount = candidates.count
    candidates = choice.active.map { candidates[$0] }
    if let weights = choice.weights {
      let kept = choice.active.map { Float(weights[$0]) }
      let count = kept.count
      appliedWeights = count == 0 ? nil : Parameter(kept, shape: [count]).value
    }
    applied = choice
  }
}

/// A layer whose output is exactly zero: a mixture need not compute it.
public protocol ZeroLayer: Layer {}
