extension SearchSpace {
  /// Forced decisions that together show every variant of every block.
  ///
  /// Plans of choices are independent, so one pass takes the i-th candidate everywhere. Choices
  /// inside candidates are counted through for each of those, and input choices that may be empty
  /// are enumerated jointly, since a block may read several of them.
  /// - Throws: `SpaceError` where more than 64 combinations of empty choices would be needed.
  func rehearsalVariants() throws(SpaceError) -> [[String: [Int]]] {
    let emptiable = choices.filter { $0.kind == .input && $0.chosenCount == nil }
    guard emptiable.count <= 6 else {
      throw .undecidable(
        key: emptiable.map(\.key).joined(separator: ", "), strategy: "rehearsal",
        reason: "\(emptiable.count) input choices that may be empty are more than 6")
    }
    let levels = nestingLevels()
    let depth = (levels.values.max() ?? 0) + 1
    let own = mutables.mapValues { list in
      list.map(\.rehearsalVariants).max { $0.count < $1.count } ?? []
    }
    let widest = own.values.map(\.count).max() ?? 1
    var variants: [[String: [Int]]] = []
    var counters = [Int](repeating: 0, count: depth)
    while true {
      variants.append(variant(counters, own, levels, emptying: []))
      var level = 0
      while level < depth {
        counters[level] += 1
        if counters[level] < widest { break }
        counters[level] = 0
        level += 1
      }
      if level == depth { break }
    }
    for mask in 1..<max(1 << emptiable.count, 1) where !emptiable.isEmpty {
      let emptied = emptiable.indices.filter { mask & (1 << $0) != 0 }.map { emptiable[$0].key }
      variants.append(
        variant([Int](repeating: 0, count: depth), own, levels, emptying: Set(emptied)))
    }
    return variants
  }

  private func variant(
    _ counters: [Int], _ own: [String: [[Int]]], _ levels: [ObjectIdentifier: Int],
    emptying emptied: Set<String>
  ) -> [String: [Int]] {
    var result: [String: [Int]] = [:]
    for choice in choices {
      let level = mutables[choice.key]?.first.flatMap { levels[ObjectIdentifier($0)] } ?? 0
      let variants = own[choice.key] ?? []
      if emptied.contains(choice.key) || variants.isEmpty {
        result[choice.key] = []
      } else {
        result[choice.key] = variants[counters[min(level, counters.count - 1)] % variants.count]
      }
    }
    return result
  }

  /// How many choices each mutable lies in, where it is in any.
  private func nestingLevels() -> [ObjectIdentifier: Int] {
    var levels: [ObjectIdentifier: Int] = [:]
    for choice in mutables.values.joined() {
      let inside = choice.namedModules.filter { $0.module is any Mutable && $0.module !== choice }
      for module in Set(inside.map { ObjectIdentifier($0.module) }) {
        levels[module, default: 0] += 1
      }
    }
    return levels
  }

  /// Runs each pass once for every variant, with sampled decisions forced to it.
  ///
  /// - Parameter progress: Told how many of how many runs are done, before the first one too.
  func rehearse(
    _ passes: [() throws -> Void], progress: (_ done: Int, _ count: Int) -> Void
  ) throws {
    let variants = try rehearsalVariants()
    let count = variants.count * passes.count
    defer { forced = [:] }
    progress(0, count)
    try Rehearsal.run {
      for (number, variant) in variants.enumerated() {
        forced = variant
        for (index, pass) in passes.enumerated() {
          try pass()
          progress(number * passes.count + index + 1, count)
        }
      }
    }
  }
}
