/// A cost as a sum: a constant, and for each candidate of each choice what it adds, which may hold
/// choices itself.
///
/// `c + Σ_keys Σ_k [key takes k] · sum_k`. Occurrences of one key are one term.
struct CostSum {
  /// What is always there.
  private(set) var constant: Double
  /// Each key with its candidates' sums, in the order in which they came.
  private(set) var terms: [(key: String, candidates: [CostSum])] = []

  /// A constant.
  init(_ constant: Double = 0) { self.constant = constant }

  /// Adds what a key's candidates cost.
  mutating func add(_ candidates: [CostSum], of key: String) {
    // Inside a candidate it is known what its own key takes.
    let known = candidates.enumerated().map { $1.where(key, takes: $0) }
    guard let index = terms.firstIndex(where: { $0.key == key }) else {
      terms.append((key, known))
      return
    }
    for (number, sum) in known.enumerated() { terms[index].candidates[number].add(sum) }
  }

  /// Adds another sum.
  mutating func add(_ other: CostSum) {
    constant += other.constant
    for (key, candidates) in other.terms { add(candidates, of: key) }
  }

  /// The sum where a key is known to take one candidate.
  private func `where`(_ key: String, takes index: Int) -> CostSum {
    var result = CostSum(constant)
    for (other, candidates) in terms {
      if other == key {
        result.add(candidates[index].where(key, takes: index))
      } else {
        result.add(candidates.map { $0.where(key, takes: index) }, of: other)
      }
    }
    return result
  }

  /// Whether no choice is inside.
  var isConstant: Bool { terms.isEmpty }

  /// The sum for an architecture; a key without a choice adds nothing.
  func value(_ choices: [String: ResolvedChoice]) -> Double {
    terms.reduce(constant) { sum, term in
      (choices[term.key]?.active ?? []).reduce(sum) { $0 + term.candidates[$1].value(choices) }
    }
  }

  /// What no architecture goes below.
  ///
  /// - Parameter isOptional: Whether a key may take nothing.
  func lowerBound(_ isOptional: (_ key: String) -> Bool) -> Double {
    terms.reduce(constant) { sum, term in
      let least = term.candidates.map { $0.lowerBound(isOptional) }.min() ?? 0
      return sum + (isOptional(term.key) ? min(least, 0) : least)
    }
  }
}

extension CostSum {
  /// Number of parameters that are left when an architecture is applied; nil where candidates share
  /// some, so that they do not add up.
  static func parameters(of network: any Layer) -> CostSum? {
    var walk = ParameterWalk()
    let sum = walk.sum(network, [])
    return walk.addsUp ? sum : nil
  }
}

/// Counts parameters by the candidates that they lie in.
private struct ParameterWalk {
  /// One candidate on the way to a member.
  struct Step: Equatable {
    let choice: ObjectIdentifier
    let index: Int
  }
  var addsUp = true
  private var seen: [ObjectIdentifier: [Step]] = [:]

  mutating func sum(_ member: any ModuleMember, _ way: [Step]) -> CostSum {
    var sum = CostSum()
    if let earlier = seen[ObjectIdentifier(member)] {
      // It is counted where it came first, and must be there whenever it is here.
      if !way.starts(with: earlier) { addsUp = false }
      return sum
    }
    seen[ObjectIdentifier(member)] = way
    if let parameter = member as? Parameter { return CostSum(Double(parameter.shape.count)) }
    guard let module = member as? Module else { return sum }
    if let choice = module as? LayerChoice, let key = choice.box.key {
      var candidates: [CostSum] = []
      for (index, candidate) in choice.candidates.enumerated() {
        candidates.append(
          self.sum(
            candidate.layer, way + [Step(choice: ObjectIdentifier(choice), index: index)]))
      }
      sum.add(candidates, of: key)
      return sum
    }
    for (_, child) in module.children { sum.add(self.sum(child, way)) }
    return sum
  }
}
