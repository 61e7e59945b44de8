/// The expected value of a cost under decisions with weights; recorded, so that weights get its
/// gradient.
///
/// Choices are drawn independently of one another. Where no choice lies inside a candidate, weights
/// meet their coefficients in one product for each vector of weights, whatever the number of keys.
final class CostExpectation {
  /// An input choice that names an edge, with the edge's place among its inputs.
  typealias Switch = (key: String, index: Int, inputs: Int, chosen: Int?)

  private let sum: CostSum
  private let switches: [String: [Switch]]
  /// Coefficients on their device, made once.
  private var vectors: [String: Variable] = [:]

  init(_ sum: CostSum, in space: SearchSpace) {
    self.sum = sum
    var switches: [String: [Switch]] = [:]
    for input in space.choices where input.kind == .input {
      for (index, name) in input.candidateNames.enumerated() where space.isLayerChoice(name) {
        switches[name, default: []].append(
          (input.key, index, input.candidateNames.count, input.chosenCount))
      }
    }
    self.switches = switches
  }

  /// The expected cost, one element.
  /// - Precondition: Each layer choice that costs something has a decision.
  func callAsFunction(_ decisions: [String: Decision]) throws -> Tensor {
    let (tensor, constant) = try expected(sum, decisions, path: "")
    return (tensor ?? Tensor(zeros: [])) + Float(constant)
  }

  /// What depends on weights, and the rest.
  private func expected(_ sum: CostSum, _ decisions: [String: Decision], path: String) throws
    -> (tensor: Tensor?, constant: Double)
  {
    var constant = sum.constant
    var parts: [Tensor] = []
    var groups: [(weights: Tensor, coefficients: [Int: Double], keys: String)] = []
    for (key, candidates) in sum.terms {
      guard let decision = decisions[key] else {
        preconditionFailure("an expected cost has no decision for \(key)")
      }
      let inside = try candidates.enumerated().map { index, candidate in
        try expected(candidate, decisions, path: "\(path)\(key).\(index)/")
      }
      let share = self.share(of: key, decisions)
      guard let weights = decision.weights else {
        var fixed = Expected()
        for index in decision.active {
          fixed.add(inside[index].tensor, inside[index].constant)
        }
        fixed.scale(share)
        if let tensor = fixed.tensor { parts.append(tensor) }
        constant += fixed.constant
        continue
      }
      let offset = decision.weightOffset
      let coefficients = Dictionary(
        uniqueKeysWithValues: inside.enumerated().map { (offset + $0, $1.constant) })
      var nested: [Tensor] = []
      for (index, part) in inside.enumerated() {
        guard let tensor = part.tensor else { continue }
        nested.append(tensor * weights.slice(offset + index..<offset + index + 1, axis: 0).sum())
      }
      if case .fixed(1) = share, nested.isEmpty {
        if let group = groups.firstIndex(where: { $0.weights.isSame(as: weights) }) {
          groups[group].coefficients.merge(coefficients) { $0 + $1 }
          groups[group].keys += ",\(key)@\(offset)"
        } else {
          groups.append((weights, coefficients, "\(path)\(key)@\(offset)"))
        }
        continue
      }
      var own = Expected()
      own.add(addAll(nested + [try product(weights, coefficients, "\(path)\(key)@\(offset)")]), 0)
      own.scale(share)
      if let tensor = own.tensor { parts.append(tensor) }
    }
    for group in groups {
      parts.append(try product(group.weights, group.coefficients, group.keys))
    }
    return (parts.isEmpty ? nil : addAll(parts), constant)
  }

  /// A sum of what depends on weights and what does not.
  private struct Expected {
    var tensor: Tensor?
    var constant = 0.0

    mutating func add(_ other: Tensor?, _ number: Double) {
      if let other { tensor = tensor.map { $0 + other } ?? other }
      constant += number
    }

    mutating func scale(_ share: Share) {
      switch share {
      case .fixed(let factor):
        if factor != 1 { tensor = tensor.map { $0 * Float(factor) } }
        constant *= factor
      case .weighted(let factor):
        tensor = factor * ((tensor ?? Tensor(zeros: [])) + Float(constant))
        constant = 0
      }
    }
  }

  /// How often an edge is taken.
  private enum Share {
    case fixed(Double)
    case weighted(Tensor)
  }

  /// How often the switches of a key take it: by their weights, where they have some; of all inputs
  /// n in m, where n of m will be taken.
  private func share(of key: String, _ decisions: [String: Decision]) -> Share {
    var missed: Tensor?
    var fixed = 1.0
    let switches = switches[key] ?? []
    for input in switches {
      let decision = decisions[input.key]
      if let weights = decision?.weights {
        let place = (decision?.weightOffset ?? 0) + input.index
        let not = 1 - weights.slice(place..<place + 1, axis: 0).sum()
        missed = missed.map { $0 * not } ?? not
        continue
      }
      let active = decision?.active ?? Array(0..<input.inputs)
      let isTaken = active.contains(input.index)
      let open = active.count == input.inputs ? input.chosen.map { Double($0) } : nil
      fixed *= 1 - (isTaken ? open.map { $0 / Double(input.inputs) } ?? 1 : 0)
    }
    if switches.isEmpty { return .fixed(1) }
    guard let missed else { return .fixed(1 - fixed) }
    return .weighted(1 - missed * Float(fixed))
  }

  /// `Σ_i coefficient_i · weight_i`.
  private func product(_ weights: Tensor, _ coefficients: [Int: Double], _ name: String) throws
    -> Tensor
  {
    let id = "\(name) of \(weights.type) on \(weights.device)"
    let vector = try vectors[id] ?? makeVector(weights, coefficients)
    vectors[id] = vector
    return (weights * vector.tensor).sum()
  }

  private func makeVector(_ weights: Tensor, _ coefficients: [Int: Double]) throws -> Variable {
    var values = [Double](repeating: 0, count: weights.shape.count)
    for (place, value) in coefficients { values[place] = value }
    return try Device.with(weights.device) {
      weights.dtype == .float64
        ? try Variable(values, shape: weights.shape)
        : try Variable(values.map { Float($0) }, shape: weights.shape)
    }
  }
}
