/// Forced decisions that together show every variant of every block of a space.
///
/// Plans of choices are independent, so one pass takes the i-th candidate everywhere. Choices inside
/// candidates are counted through for each of those.
struct RehearsalVariants {
  private let keys: [String]
  /// Sets of candidates that show everything of a key's choices.
  private let own: [String: [[Int]]]
  /// How many layer choices a key's first choice lies in.
  private let levels: [String: Int]

  init(_ space: SearchSpace) {
    let nesting = RehearsalVariants.nestingLevels(space.mutables)
    keys = space.choices.map(\.key)
    own = space.mutables.mapValues { list in
      list.map(\.rehearsalVariants).max { $0.count < $1.count } ?? []
    }
    levels = space.mutables.compactMapValues { list in
      list.first.flatMap { nesting[ObjectIdentifier($0)] }
    }
  }

  /// All variants, input choices that may be empty enumerated jointly within each group, all groups
  /// at once.
  ///
  /// - Parameter groups: Keys of input choices that may be empty and that one block depends on.
  func all(emptying groups: [[String]]) -> [[String: [Int]]] {
    let widest = own.values.map(\.count).max() ?? 1
    var variants: [[String: [Int]]] = []
    var counters = [Int](repeating: 0, count: (levels.values.max() ?? 0) + 1)
    while true {
      variants.append(variant(counters))
      var level = 0
      while level < counters.count {
        counters[level] += 1
        if counters[level] < widest { break }
        counters[level] = 0
        level += 1
      }
      if level == counters.count { break }
    }
    for mask in 1..<max(1 << (groups.map(\.count).max() ?? 0), 2) where !groups.isEmpty {
      let emptied = groups.flatMap { group in
        group.indices.filter { mask & (1 << $0) != 0 }.map { group[$0] }
      }
      variants.append(variant(emptying: Set(emptied)))
    }
    return variants
  }

  /// One variant.
  ///
  /// - Parameters:
  ///   - counters: Which set of candidates is taken, by how deep a choice is nested.
  ///   - emptied: Input choices that take nothing.
  func variant(_ counters: [Int] = [0], emptying emptied: Set<String> = []) -> [String: [Int]] {
    var result: [String: [Int]] = [:]
    for key in keys {
      let variants = own[key] ?? []
      if emptied.contains(key) || variants.isEmpty {
        result[key] = []
      } else {
        result[key] = variants[counters[min(levels[key] ?? 0, counters.count - 1)] % variants.count]
      }
    }
    return result
  }

  /// How many layer choices each mutable lies in, where it is in any.
  private static func nestingLevels(_ mutables: [String: [any Mutable]]) -> [ObjectIdentifier: Int]
  {
    var levels: [ObjectIdentifier: Int] = [:]
    for choice in mutables.values.joined() {
      let inside = choice.namedModules.filter { $0.module is any Mutable && $0.module !== choice }
      for module in Set(inside.map { ObjectIdentifier($0.module) }) {
        levels[module, default: 0] += 1
      }
    }
    return levels
  }
}
