/// A cost as a sum: a constant, and for each candidate of each choice what it adds.
final class CostSum {
  private let constant: Double
  private let coefficients: [String: [Double]]
  /// Coefficients behind vectors of weights that several keys share, made once.
  private var vectors: [String: Variable] = [:]

  /// Finds the sum by differences, and holds it to other architectures.
  ///
  /// - Parameter cost: The cost of an architecture.
  /// - Throws: `SpaceError` where one candidate's cost depends on another choice.
  init(_ space: SearchSpace, cost: ([String: ResolvedChoice]) -> Double) throws(SpaceError) {
    let base = CostSum.base(space)
    let baseCost = cost(base)
    var constant = baseCost
    var coefficients: [String: [Double]] = [:]
    for choice in space.choices where choice.kind != .input {
      let switches = space.choices.filter {
        $0.kind == .input && $0.candidateNames.contains(choice.key)
      }
      // With this edge taken.
      var taken = base
      for input in switches {
        taken[input.key] = CostSum.taking(choice.key, of: input)
        for name in input.candidateNames where taken[name]?.active.isEmpty == true {
          taken[name] = ResolvedChoice(active: [0])
        }
      }
      let costs = choice.candidateNames.indices.map { index -> Double in
        var other = taken
        other[choice.key] = ResolvedChoice(active: [index])
        return cost(space.withoutUnusedEdges(other))
      }
      // Under a switch what is measured from is an edge that costs nothing; else the base's candidate.
      let first = switches.isEmpty ? costs[0] : costs.min() ?? 0
      let share =
        switches.first.map { input in
          Double(input.chosenCount ?? 1) / Double(input.candidateNames.count)
        } ?? 1
      coefficients[choice.key] = costs.map { ($0 - first) * share }
    }
    // What the base's own edges cost is in their coefficients.
    for choice in space.choices where choice.kind != .input {
      let isEdge = space.choices.contains {
        $0.kind == .input && $0.candidateNames.contains(choice.key)
      }
      if isEdge, base[choice.key]?.active == [0], let own = coefficients[choice.key]?[0] {
        let input = space.choices.first {
          $0.kind == .input && $0.candidateNames.contains(choice.key)
        }
        let share = input.map { Double($0.chosenCount ?? 1) / Double($0.candidateNames.count) } ?? 1
        constant -= own / share
      }
    }
    self.constant = constant
    self.coefficients = coefficients
    try requireSum(space, cost)
  }

  /// First candidates, first inputs.
  private static func base(_ space: SearchSpace) -> [String: ResolvedChoice] {
    var result: [String: ResolvedChoice] = [:]
    for choice in space.choices {
      result[choice.key] =
        choice.kind == .input
        ? ResolvedChoice(active: Array(0..<(choice.chosenCount ?? choice.candidateNames.count)))
        : ResolvedChoice(active: [0])
    }
    return space.withoutUnusedEdges(result)
  }

  /// The first inputs, the one of a key among them.
  private static func taking(_ key: String, of input: ChoiceDescription) -> ResolvedChoice {
    let count = input.chosenCount ?? input.candidateNames.count
    var active = Array(0..<count)
    if let index = input.candidateNames.firstIndex(of: key), !active.contains(index) {
      active[count - 1] = index
    }
    return ResolvedChoice(active: active)
  }

  /// Throws where architectures without switches do not cost what the sum says.
  private func requireSum(_ space: SearchSpace, _ cost: ([String: ResolvedChoice]) -> Double)
    throws(SpaceError)
  {
    let hasEdges = space.choices.contains { input in
      input.kind == .input && input.candidateNames.contains { space.isLayerChoice($0) }
    }
    guard !hasEdges else { return }
    var generator = SeededGenerator(seed: 0)
    for _ in 0..<8 {
      let choices = space.randomArchitecture(&generator)
      let sum = choices.reduce(constant) { sum, choice in
        choice.value.active.reduce(sum) { $0 + (coefficients[choice.key]?[$1] ?? 0) }
      }
      let exact = cost(choices)
      guard abs(sum - exact) <= 1e-9 * max(abs(sum), abs(exact)) else {
        throw .undecidable(
          key: choices.keys.sorted().first ?? "", strategy: "an expected cost",
          reason:
            "costs do not add up over the choices: one candidate's depends on another choice; "
            + "use a limit, or a strategy that samples")
      }
    }
  }

  /// The sum with each candidate as often as its weight says; recorded.
  func expected(_ decisions: [String: Decision]) -> Tensor {
    var groups: [(weights: Tensor, keys: [String])] = []
    var fixed = constant
    for key in coefficients.keys.sorted() {
      guard let decision = decisions[key], let weights = decision.weights else {
        for index in decisions[key]?.active ?? [] { fixed += coefficients[key]?[index] ?? 0 }
        continue
      }
      if let index = groups.firstIndex(where: { $0.weights.isSame(as: weights) }) {
        groups[index].keys.append(key)
      } else {
        groups.append((weights, [key]))
      }
    }
    let terms = groups.map { weights, keys in
      (weights * vector(keys, decisions, count: weights.shape.count).tensor).sum()
    }
    return (terms.isEmpty ? Tensor(zeros: []) : addAll(terms)) + Float(fixed)
  }

  /// The coefficients of keys whose weights are parts of one vector, at their places.
  private func vector(_ keys: [String], _ decisions: [String: Decision], count: Int) -> Variable {
    let name =
      "\(count):" + keys.map { "\($0)@\(decisions[$0]?.weightOffset ?? 0)" }.joined(separator: ",")
    if let vector = vectors[name] { return vector }
    var values = [Float](repeating: 0, count: count)
    for key in keys {
      let offset = decisions[key]?.weightOffset ?? 0
      for (index, value) in (coefficients[key] ?? []).enumerated() {
        values[offset + index] = Float(value)
      }
    }
    guard let vector = try? Variable(values, shape: [count]) else {
      preconditionFailure("no memory for \(count) coefficients")
    }
    vectors[name] = vector
    return vector
  }
}
