/// The architecture parameters α of a space.
///
/// Choices with equal candidate counts share one tensor `[keys, candidates]`, so that softmax and
/// optimizer are one launch each.
struct AlphaTables {
  /// α of some keys.
  struct Table {
    let keys: [String]
    let candidates: Int
    /// Whether each candidate has a gate of its own: an input choice of any number.
    let isGate: Bool
    let alpha: Variable
  }
  let tables: [Table]
  /// Input choices over layer choices, which all take part until the end.
  let connected: [ChoiceDescription]

  /// Normal α.
  ///
  /// - Parameter deviation: Their standard deviation.
  init(_ space: SearchSpace, deviation: Double, _ generator: inout SeededGenerator) throws {
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
    self.connected = connected
    tables = try groups.map { group in
      let values = (0..<group.count * group.keys.count).map { _ in
        Float(generator.normal() * deviation)
      }
      return Table(
        keys: group.keys, candidates: group.count, isGate: group.isGate,
        alpha: try Variable(values, shape: [group.keys.count, group.count]))
    }
  }

  /// All α by table.
  var variables: [Variable] { tables.map(\.alpha) }

  /// α by table, with names for a checkpoint.
  var named: [(name: String, variable: Variable)] {
    tables.map { ("alpha.\($0.isGate ? "gate" : "choice")\($0.candidates)", $0.alpha) }
  }

  /// Decisions that mix all candidates; recorded, so α gets its gradient.
  ///
  /// - Parameter weights: The multipliers `[keys, candidates]` of a table.
  func mixtures(_ weights: (Table) -> Tensor) -> [String: Decision] {
    var result: [String: Decision] = [:]
    for table in tables {
      let vector = weights(table).reshaped(to: [-1])
      for (row, key) in table.keys.enumerated() {
        result[key] = Decision(
          .fixed, active: Array(0..<table.candidates), weights: vector,
          weightOffset: row * table.candidates)
      }
    }
    for choice in connected {
      result[choice.key] = Decision(.fixed, active: Array(choice.candidateNames.indices))
    }
    return result
  }

  /// `softmax(α)`, or the gates' openings; an input that is a layer choice is as probable as the best
  /// of its candidates.
  func probabilities(in space: SearchSpace) throws -> [String: [Double]] {
    var result: [String: [Double]] = [:]
    for table in tables {
      let alpha = table.alpha.tensor
      let values: [Float] = try (table.isGate ? sigmoid(alpha) : softmax(alpha)).scalars()
      for (row, key) in table.keys.enumerated() {
        let start = row * table.candidates
        result[key] = values[start..<start + table.candidates].map(Double.init)
      }
    }
    for choice in connected {
      result[choice.key] = choice.candidateNames.map { name in
        let p = result[name] ?? []
        return space.selectable(name, p.count).reduce(0) { max($0, p[$1]) }
      }
    }
    return result
  }
}

extension SearchSpace {
  /// DARTS' discretisation: of each layer choice the most probable candidate that is not exactly
  /// zero, of input choices the most probable inputs, or those above 0.5; ties go to the lowest index.
  func discretized(_ probabilities: [String: [Double]]) -> [String: ResolvedChoice] {
    mostProbable(probabilities) { self.selectable($0, $1) }
  }
}
