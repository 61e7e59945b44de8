/// The architecture parameters α of a space.
///
/// Choices with equal candidate counts share one tensor `[keys, width]`, so that softmax and
/// optimizer are one launch each.
struct AlphaTables {
  /// What the rows of a table decide; the name is part of the table's in a checkpoint.
  enum Kind: String {
    /// Exactly one candidate.
    case choice
    /// One candidate or none: NNI's implicit zero has an α of its own, the last.
    case zero
    /// Any number: each candidate has a gate.
    case gate
    /// How much each edge of a node counts: PC-DARTS' β.
    case edge
  }
  /// α of some keys.
  struct Table {
    let kind: Kind
    let keys: [String]
    let candidates: Int
    let alpha: Variable
    /// Whether each candidate has a gate of its own: an input choice of any number.
    var isGate: Bool { kind == .gate }
    /// α in a row.
    var width: Int { alpha.type.shape[1] }
  }
  let tables: [Table]
  /// Input choices over layer choices, which all take part until the end.
  let connected: [ChoiceDescription]

  /// Normal α.
  ///
  /// - Parameters:
  ///   - deviation: Their standard deviation.
  ///   - hasImplicitZero: Whether each layer choice may also be nothing.
  ///   - weighsEdges: Whether input choices over layer choices have α too.
  init(
    _ space: SearchSpace, deviation: Double, hasImplicitZero: Bool = false,
    weighsEdges: Bool = false, _ generator: inout SeededGenerator
  ) throws {
    var groups: [(kind: Kind, count: Int, keys: [String])] = []
    var connected: [ChoiceDescription] = []
    for choice in space.choices {
      let count = choice.candidateNames.count
      var kind = Kind.choice
      if choice.chosenCount != nil, choice.candidateNames.allSatisfy({ space.isLayerChoice($0) }) {
        connected.append(choice)
        guard weighsEdges else { continue }
        kind = .edge
      } else if choice.kind == .input && choice.chosenCount == nil {
        kind = .gate
      } else if choice.kind != .input && hasImplicitZero {
        kind = .zero
      }
      if let index = groups.firstIndex(where: { $0.count == count && $0.kind == kind }) {
        groups[index].keys.append(choice.key)
      } else {
        groups.append((kind, count, [choice.key]))
      }
    }
    self.connected = connected
    tables = try groups.map { group in
      let width = group.count + (group.kind == .zero ? 1 : 0)
      let values = (0..<width * group.keys.count).map { _ in
        Float(generator.normal() * deviation)
      }
      return Table(
        kind: group.kind, keys: group.keys, candidates: group.count,
        alpha: try Variable(values, shape: [group.keys.count, width]))
    }
  }

  /// All α by table.
  var variables: [Variable] { tables.map(\.alpha) }

  /// α by table, with names for a checkpoint.
  var named: [(name: String, variable: Variable)] {
    tables.map { ("alpha.\($0.kind.rawValue)\($0.candidates)", $0.alpha) }
  }

  /// Decisions that mix all candidates; recorded, so α gets its gradient.
  ///
  /// - Parameter weights: The multipliers `[keys, width]` of a table.
  func mixtures(_ weights: (Table) -> Tensor) -> [String: Decision] {
    var result: [String: Decision] = [:]
    for choice in connected {
      result[choice.key] = Decision(.fixed, active: Array(choice.candidateNames.indices))
    }
    for table in tables {
      let vector = weights(table).reshaped(to: [-1])
      for (row, key) in table.keys.enumerated() {
        result[key] = Decision(
          .fixed, active: Array(0..<table.candidates), weights: vector,
          weightOffset: row * table.width)
      }
    }
    return result
  }

  /// How probable each candidate is.
  ///
  /// An input that is a layer choice is as probable as the best of its candidates, times the edge's
  /// own probability where edges have one.
  /// - Parameter weights: The probabilities `[keys, width]` of a table.
  func probabilities(
    in space: SearchSpace, _ weights: (Table) -> Tensor = { $0.relaxed }
  ) throws -> [String: [Double]] {
    var result: [String: [Double]] = [:]
    for table in tables {
      let values: [Float] = try weights(table).scalars()
      for (row, key) in table.keys.enumerated() {
        let start = row * table.width
        result[key] = values[start..<start + table.candidates].map(Double.init)
      }
    }
    for choice in connected {
      let edges = result[choice.key]
      result[choice.key] = choice.candidateNames.enumerated().map { index, name in
        let p = result[name] ?? []
        return (edges?[index] ?? 1) * space.selectable(name, p.count).reduce(0) { max($0, p[$1]) }
      }
    }
    return result
  }
}

extension AlphaTables.Table {
  /// `softmax(α)`, or the gates' openings.
  var relaxed: Tensor { isGate ? sigmoid(alpha.tensor) : softmax(alpha.tensor) }
}

extension SearchSpace {
  /// DARTS' discretisation: of each layer choice the most probable candidate that is not exactly
  /// zero, of input choices the most probable inputs, or those above 0.5; ties go to the lowest index.
  func discretized(_ probabilities: [String: [Double]]) -> [String: ResolvedChoice] {
    mostProbable(probabilities) { self.selectable($0, $1) }
  }
}
