extension SearchSpace {
  /// The first architecture that the strategy `random` draws with a seed.
  public func firstRandomArchitecture(seed: UInt64) -> Architecture {
    var generator = SearchContext.generator(seed: seed)
    return Architecture(randomArchitecture(&generator), in: choices)
  }

  /// A uniformly random architecture.
  ///
  /// Of an input choice with a fixed number a uniform subset; of any number, fair coins. Edges that
  /// no input choice takes are left out.
  public func randomArchitecture(_ generator: inout SeededGenerator) -> [String: ResolvedChoice] {
    var result: [String: ResolvedChoice] = [:]
    for choice in choices { result[choice.key] = randomChoice(choice, &generator) }
    return withoutUnusedEdges(result)
  }

  /// A uniformly random choice, whatever the others are.
  func randomChoice(_ choice: ChoiceDescription, _ generator: inout SeededGenerator)
    -> ResolvedChoice
  {
    let count = choice.candidateNames.count
    guard choice.kind == .input else {
      let allowed = drawable(choice.key, count)
      return ResolvedChoice(active: [allowed[Int.random(in: 0..<allowed.count, using: &generator)]])
    }
    guard let chosen = choice.chosenCount else {
      return ResolvedChoice(active: (0..<count).filter { _ in Bool.random(using: &generator) })
    }
    let order = Array(0..<count).shuffled(using: &generator)
    return ResolvedChoice(active: Array(order.prefix(chosen)))
  }

  /// How probable each candidate of each key is in `randomArchitecture`, before edges are left out.
  var uniformProbabilities: [String: [Double]] {
    Dictionary(
      uniqueKeysWithValues: choices.map { choice in
        let count = choice.candidateNames.count
        guard choice.kind == .input else {
          let allowed = Set(drawable(choice.key, count))
          let share = 1 / Double(allowed.count)
          return (choice.key, (0..<count).map { allowed.contains($0) ? share : 0 })
        }
        let share = choice.chosenCount.map { Double($0) / Double(count) } ?? 0.5
        return (choice.key, [Double](repeating: share, count: count))
      })
  }

  /// Candidates that sampling draws: all, but on an edge that an input choice can leave out none that
  /// is exactly zero, which would be the same twice.
  func drawable(_ key: String, _ count: Int) -> [Int] {
    let isEdge = choices.contains { $0.kind == .input && $0.candidateNames.contains(key) }
    return isEdge ? selectable(key, count) : Array(0..<count)
  }

  /// Candidates that a mixture may be reduced to: all that are not exactly zero, or all if there are
  /// no others.
  func selectable(_ key: String, _ count: Int) -> [Int] {
    guard let choice = mutables[key]?.first as? LayerChoice else { return Array(0..<count) }
    let useful = choice.candidates.indices.filter {
      !(choice.candidates[$0].layer is any ZeroLayer)
    }
    return useful.isEmpty ? Array(0..<count) : useful
  }

  /// The most probable architecture: of an input choice of any number the inputs above 0.5, else the
  /// most probable candidates; ties go to the lowest index.
  ///
  /// - Parameter allowed: The candidates of a key and their count that may be taken.
  func mostProbable(
    _ probabilities: [String: [Double]], among allowed: (String, Int) -> [Int]
  ) -> [String: ResolvedChoice] {
    var result: [String: ResolvedChoice] = [:]
    for choice in choices {
      let p = probabilities[choice.key] ?? []
      let isCoin = choice.kind == .input && choice.chosenCount == nil
      let open = isCoin ? p.indices.filter { p[$0] > 0.5 } : allowed(choice.key, p.count)
      let order = open.sorted { (p[$0], -$0) > (p[$1], -$1) }
      let count = isCoin ? order.count : choice.kind == .input ? choice.chosenCount ?? 0 : 1
      result[choice.key] = ResolvedChoice(active: Array(order.prefix(count)))
    }
    return withoutUnusedEdges(result)
  }

  /// Empties layer choices that input choices name and do not take, as DARTS' export does.
  func withoutUnusedEdges(_ choices: [String: ResolvedChoice]) -> [String: ResolvedChoice] {
    var result = choices
    var named: Set<String> = []
    var taken: Set<String> = []
    for choice in self.choices where choice.kind == .input {
      for (index, name) in choice.candidateNames.enumerated() where mutables[name] != nil {
        named.insert(name)
        if choices[choice.key]?.active.contains(index) == true { taken.insert(name) }
      }
    }
    for name in named.subtracting(taken)
    where self.choices.contains(where: { $0.key == name && $0.kind == .layer }) {
      result[name] = ResolvedChoice(active: [])
    }
    return result
  }

  /// Sampled decisions for one architecture; choices that were left out run their first candidate,
  /// whose result nobody uses.
  public func sampledDecisions(_ choices: [String: ResolvedChoice]) -> [String: Decision] {
    var result: [String: Decision] = [:]
    for choice in self.choices {
      var active = choices[choice.key]?.active ?? []
      if active.isEmpty && choice.kind != .input { active = [0] }
      result[choice.key] = Decision(.sampled, active: active)
    }
    return result
  }

  /// Whether a key is a layer choice's.
  func isLayerChoice(_ key: String) -> Bool { mutables[key]?.first is LayerChoice }
}
