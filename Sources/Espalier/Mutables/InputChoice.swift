/// Some of several tensors, or none: which, a strategy decides.
///
/// Until something is decided the first `chosenCount` (of any number: the first) are taken.
public final class InputChoice: Module, Mutable {
  /// How chosen tensors become one.
  public enum Reduction: Sendable {
    /// Their sum.
    case sum
    /// Their sum divided by their number.
    case mean
    /// One after another along the channels.
    case concatenation
  }

  /// What `chooseFrom` holds for an input without a name.
  public static let noKey = ""

  /// The inputs' names: keys of choices or scopes, or `noKey`.
  public let candidateNames: [String]
  /// How many are taken; nil is any number, none included.
  public let chosenCount: Int?
  private let reduction: Reduction
  /// The key given by the user.
  public let explicitKey: String?
  /// Where the decision stands.
  public var box = DecisionBox()
  /// What was applied.
  public private(set) var applied: ResolvedChoice?
  private var appliedWeights: Tensor?

  /// A choice among unnamed inputs.
  ///
  /// - Parameters:
  ///   - candidateCount: Number of inputs.
  ///   - chosenCount: How many are taken; nil is any number.
  ///   - reduction: How the chosen ones become one tensor.
  ///   - key: Choices of one key share the decision; by default the property path.
  public convenience init(
    candidateCount: Int, chosenCount: Int? = nil, reduction: Reduction = .sum, key: String? = nil
  ) {
    precondition(candidateCount > 0, "InputChoice: \(candidateCount) candidates")
    self.init(
      chooseFrom: [String](repeating: InputChoice.noKey, count: candidateCount),
      chosenCount: chosenCount, reduction: reduction, key: key)
  }

  /// A choice among inputs named by keys of choices or scopes that come before it.
  public init(
    chooseFrom: [String], chosenCount: Int? = nil, reduction: Reduction = .sum, key: String? = nil
  ) {
    precondition(!chooseFrom.isEmpty, "InputChoice: no candidates")
    if let chosenCount {
      precondition(
        (0...chooseFrom.count).contains(chosenCount),
        "InputChoice: \(chosenCount) of \(chooseFrom.count) candidates")
    }
    candidateNames = chooseFrom
    self.chosenCount = chosenCount
    self.reduction = reduction
    explicitKey = key
  }

  /// Number of inputs.
  public var count: Int { candidateNames.count }

  /// The chosen inputs as one tensor; nil when none is chosen.
  public func callAsFunction(_ inputs: [Tensor]) -> Tensor? { choose(inputs).output }

  /// The chosen inputs, given by name, as one tensor; nil when none is chosen.
  public func callAsFunction(_ inputs: [String: Tensor]) -> Tensor? {
    let ordered = candidateNames.map { name -> Tensor in
      guard let input = inputs[name] else {
        preconditionFailure(
          "InputChoice \(label): no input \(name), there are \(inputs.keys.sorted())")
      }
      return input
    }
    return self(ordered)
  }

  /// The chosen inputs one by one, each times its weight where the decision has weights.
  public func chosen(_ inputs: [Tensor]) -> [Tensor] {
    precondition(
      inputs.count == count, "InputChoice \(label): \(inputs.count) inputs for \(count) candidates")
    if let check = ShapeCheck.current {
      isReadOneByOne = true
      _ = check.run(self, inputs)
      return Array(inputs.prefix(chosenCount ?? count))
    }
    let decision = decision(for: inputs)
    let isSampled = decision.kind == .sampled
    if isSampled { ChoiceMarks.begin(key: label, inputs: inputs) }
    let outputs = decision.active.map { index -> Tensor in
      var output = inputs[index]
      if let weights = decision.weights {
        output = weightedSum([output], weights: weights, indices: [index + decision.weightOffset])
      }
      return isSampled ? ChoiceMarks.leave(output, carriesGradient: true) : output
    }
    if isSampled { ChoiceMarks.end(key: label) }
    return outputs
  }

  /// The output and which inputs gave it.
  public func withMask(_ inputs: [Tensor]) -> (output: Tensor?, mask: ChoiceMask) {
    ShapeCheck.current?.show(label)
    return choose(inputs)
  }

  private func choose(_ inputs: [Tensor]) -> (output: Tensor?, mask: ChoiceMask) {
    precondition(
      inputs.count == count, "InputChoice \(label): \(inputs.count) inputs for \(count) candidates")
    if let check = ShapeCheck.current {
      return (check.run(self, inputs), ChoiceMask(inputs.map { _ in true }))
    }
    let decision = decision(for: inputs)
    let mask = ChoiceMask(inputs.indices.map { decision.active.contains($0) })
    guard !decision.active.isEmpty else {
      if decision.kind == .sampled {
        ChoiceMarks.begin(key: label, inputs: inputs)
        ChoiceMarks.end(key: label)
      }
      return (nil, mask)
    }
    return (reduce(inputs, decision), mask)
  }

  /// Whether the model has asked for the chosen inputs one by one.
  private(set) var isReadOneByOne = false

  /// All inputs where which are taken is data; else every set that may be taken, or, where there are
  /// more than 63, neighbours of every number.
  public var rehearsalVariants: [[Int]] {
    let everyone = Array(0..<count)
    if combinesByData && !isReadOneByOne { return [everyone] }
    let sizes = chosenCount.map { [$0] } ?? Array(1...max(count, 1))
    if count <= 6 {
      return (1..<1 << count).map { mask in everyone.filter { mask & (1 << $0) != 0 } }
        .filter { sizes.contains($0.count) }
    }
    return sizes.flatMap { size in
      everyone.map { first in (0..<size).map { (first + $0) % count }.sorted() }
    }
  }

  /// Whether a sampled subset is data: one combination of all inputs, those left out exact zeros.
  var combinesByData: Bool { reduction != .concatenation && chosenCount != 1 && count <= 16 }

  /// Whether the number of channels depends on how many are chosen.
  var isConcatenation: Bool { reduction == .concatenation }

  private var label: String { box.key ?? explicitKey ?? "choice" }

  private func decision(for inputs: [Tensor]) -> Decision {
    if let applied {
      return Decision(.fixed, active: applied.active, weights: appliedWeights)
    }
    return currentDecision(default: Decision(.fixed, active: Array(0..<(chosenCount ?? 1))))
  }

  /// How tensors are put together when all are taken: what the shape check and decisions share.
  func reduce(_ inputs: [Tensor], _ decision: Decision) -> Tensor {
    let isSampled = decision.kind == .sampled
    if isSampled { ChoiceMarks.begin(key: label, inputs: inputs) }
    let active = decision.active
    var output: Tensor
    switch reduction {
    case .concatenation:
      output = concatenate(
        active.map { index in
          guard let weights = decision.weights else { return inputs[index] }
          return weightedSum(
            [inputs[index]], weights: weights, indices: [index + decision.weightOffset])
        })
    case .sum, .mean:
      if let weights = decision.weights {
        output = weightedSum(
          active.map { inputs[$0] }, weights: weights,
          indices: active.map { $0 + decision.weightOffset })
      } else if isSampled && combinesByData {
        // Which inputs are taken is data: those left out are exact zeros.
        output = addAll(
          inputs.indices.map {
            active.contains($0) ? inputs[$0] : ChoiceMarks.absent(like: inputs[$0])
          })
      } else {
        output = addAll(active.map { inputs[$0] })
      }
      if reduction == .mean { output = output * (1 / Float(active.count)) }
    }
    if isSampled {
      output = ChoiceMarks.leave(output, carriesGradient: true)
      ChoiceMarks.end(key: label)
    }
    return output
  }

  /// Kind, key and candidate names.
  public func description(key: String) -> ChoiceDescription {
    ChoiceDescription(
      key: key, kind: .input, candidateNames: candidateNames, chosenCount: chosenCount)
  }

  /// Keeps what the choice says.
  public func apply(_ choice: ResolvedChoice) {
    precondition(applied == nil, "InputChoice \(label): an architecture was applied already")
    if let weights = choice.weights {
      appliedWeights = Parameter(weights.map { Float($0) }, shape: [weights.count]).value
    }
    applied = choice
  }
}
