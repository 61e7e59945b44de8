extension SearchSpace {
  /// Runs each pass once for every variant, with sampled decisions forced to it.
  ///
  /// - Parameters:
  ///   - passes: What is to be planned.
  ///   - probe: A pass along one sampled path, by which it is found which choices meet in a block.
  ///   - progress: Told how many of how many runs are done, before the first one too.
  /// - Throws: `SpaceError` where more than six input choices that may be empty meet in a block.
  func rehearse(
    _ passes: [() throws -> Void], probe: () throws -> Void,
    progress: (_ done: Int, _ count: Int) -> Void
  ) throws {
    defer { forced = [:] }
    let all = RehearsalVariants(self)
    try Rehearsal.run {
      let variants = all.all(emptying: try emptiableGroups(all, probe))
      let count = variants.count * passes.count
      progress(0, count)
      for (number, variant) in variants.enumerated() {
        forced = variant
        for (index, pass) in passes.enumerated() {
          try pass()
          progress(number * passes.count + index + 1, count)
        }
      }
    }
  }

  /// Input choices that may be empty, in groups such that no block depends on choices of two.
  ///
  /// What a block records may depend on whether a choice before it was empty, wherever the model asks;
  /// what it must hand on may depend on choices behind it. So passes that differ in one choice are
  /// compared block by block: once while all others take something, once while none does.
  ///
  /// - Throws: `SpaceError` where a group has more than six, 64 combinations.
  private func emptiableGroups(_ variants: RehearsalVariants, _ probe: () throws -> Void) throws
    -> [[String]]
  {
    let keys = choices.filter { $0.kind == .input && $0.chosenCount == nil }.map(\.key)
    guard keys.count > 1 else { return keys.map { [$0] } }
    func structure(emptying emptied: Set<String>) throws -> [UInt64: UInt64] {
      forced = variants.variant(emptying: emptied)
      return try Rehearsal.structure(of: probe)
    }
    let all = Set(keys)
    let (full, empty) = (try structure(emptying: []), try structure(emptying: all))
    var groups: [(keys: [String], blocks: Set<UInt64>)] = []
    for key in keys {
      let one = try structure(emptying: [key])
      let others = try structure(emptying: all.subtracting([key]))
      var group = (keys: [key], blocks: differences(full, one).union(differences(empty, others)))
      for other in groups where !other.blocks.isDisjoint(with: group.blocks) {
        group = (other.keys + group.keys, group.blocks.union(other.blocks))
      }
      groups.removeAll { !$0.blocks.isDisjoint(with: group.blocks) }
      groups.append(group)
    }
    if let large = groups.first(where: { $0.keys.count > 6 }) {
      throw SpaceError.undecidable(
        key: large.keys.joined(separator: ", "), strategy: "rehearsal",
        reason:
          "one block depends on \(large.keys.count) input choices that may be empty, at most 6 "
          + "can be rehearsed jointly")
    }
    return groups.map(\.keys)
  }

  /// The positions at which two passes are planned differently.
  private func differences(_ a: [UInt64: UInt64], _ b: [UInt64: UInt64]) -> Set<UInt64> {
    Set(a.keys).union(b.keys).filter { a[$0] != b[$0] }
  }
}
