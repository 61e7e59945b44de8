/// A part of a space that can be decided apart from the rest: a choice, or choices that depend on one
/// another, such as a node's edges and the switch between them.
struct SpacePart {
  /// One way to decide the part.
  struct Alternative {
    var choices: [String: ResolvedChoice]
    /// How probable it is in `randomArchitecture`.
    var probability: Double
  }
  var keys: [String]
  var alternatives: [Alternative]
}

extension SearchSpace {
  /// The largest number of alternatives that are listed for a part.
  private static let largestPart = 20_000

  /// The space as parts whose alternatives combine freely.
  ///
  /// Choices belong together where one names another as its input, or lies inside another.
  /// - Throws: `SpaceError` where a part has more than 20,000 alternatives.
  func parts(for strategy: String) throws(SpaceError) -> [SpacePart] {
    var parts: [SpacePart] = []
    for keys in dependentKeys() {
      let members = choices.filter { keys.contains($0.key) }
      var alternatives = [SpacePart.Alternative(choices: [:], probability: 1)]
      // Switches first: an edge that they leave out has nothing to decide.
      let ordered = members.filter { $0.kind == .input } + members.filter { $0.kind != .input }
      for choice in ordered {
        var next: [SpacePart.Alternative] = []
        for alternative in alternatives {
          let ways = ways(choice, given: alternative.choices, among: members)
          for way in ways {
            var more = alternative
            more.choices[choice.key] = way
            more.probability /= Double(ways.count)
            next.append(more)
          }
          guard next.count <= SearchSpace.largestPart else {
            throw .undecidable(
              key: keys.joined(separator: ", "), strategy: strategy,
              reason: "these choices depend on one another and have more than "
                + "\(SearchSpace.largestPart) combinations; give fewer candidates")
          }
        }
        alternatives = next
      }
      parts.append(SpacePart(keys: keys, alternatives: alternatives))
    }
    return parts
  }

  /// Equally probable ways to decide a choice where switches are decided.
  private func ways(
    _ choice: ChoiceDescription, given decided: [String: ResolvedChoice],
    among members: [ChoiceDescription]
  ) -> [ResolvedChoice] {
    let count = choice.candidateNames.count
    guard choice.kind == .input else {
      let switches = members.filter {
        $0.kind == .input && $0.candidateNames.contains(choice.key)
      }
      let isUsed =
        switches.isEmpty
        || switches.contains { input in
          decided[input.key]?.active.contains { input.candidateNames[$0] == choice.key } ?? false
        }
      guard isUsed || choice.kind != .layer else { return [ResolvedChoice(active: [])] }
      return drawable(choice.key, count).map { ResolvedChoice(active: [$0]) }
    }
    return SearchSpace.subsets(of: count, size: choice.chosenCount).map {
      ResolvedChoice(active: $0)
    }
  }

  /// Subsets of so many inputs, of a size or of any; those beyond `largestPart` are left out.
  private static func subsets(of count: Int, size: Int?) -> [[Int]] {
    var subsets: [[Int]] = [[]]
    for input in 0..<count {
      subsets = subsets.flatMap { subset -> [[Int]] in
        guard let size else { return [subset, subset + [input]] }
        var ways: [[Int]] = []
        if subset.count + (count - input) > size { ways.append(subset) }
        if subset.count < size { ways.append(subset + [input]) }
        return ways
      }
      // Each leads to at least one.
      if subsets.count > largestPart { break }
    }
    return subsets
  }

  /// Keys that depend on one another, in the order of declaration.
  private func dependentKeys() -> [[String]] {
    var groupOf = Dictionary(
      uniqueKeysWithValues: choices.enumerated().map { ($1.key, $0) })
    func join(_ a: String, _ b: String) {
      guard let first = groupOf[a], let second = groupOf[b], first != second else { return }
      for key in groupOf.keys where groupOf[key] == max(first, second) {
        groupOf[key] = min(first, second)
      }
    }
    for choice in choices where choice.kind == .input {
      for name in choice.candidateNames { join(choice.key, name) }
    }
    for (key, list) in mutables {
      for mutable in list {
        for case let inner as any Mutable in mutable.namedModules.map(\.module) {
          if let other = inner.box.key { join(key, other) }
        }
      }
    }
    let keys = choices.map(\.key)
    return Set(groupOf.values).sorted().map { group in keys.filter { groupOf[$0] == group } }
  }
}
