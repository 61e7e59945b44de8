/// Runs calls of one kernel that do not depend on each other as rows of one call.
///
/// Calls are levelled by what they wait for; those of one level and kernel become one. On the CPU
/// this saves fork and join and keeps all threads busy on small images; on a GPU, launches.
struct RowGrouping {
  private let calls: [Layouter.Call]
  /// Values that are written in parts, by who reads them as a whole.
  private let parts: [Int32: [Int32]]
  private let abilities: PlanningAbilities

  init(calls: [Layouter.Call], parts: [Int32: [Int32]], _ abilities: PlanningAbilities) {
    self.calls = calls
    self.parts = parts
    self.abilities = abilities
  }

  private struct Key: Hashable {
    let level: Int
    let kernel: String
    let variants: [String]
    let dtype: DType
    let rowBytes: Int
    let isBackward: Bool
  }

  func grouped() -> [Layouter.Call] {
    let levels = levels()
    var groups: [Key: Int] = [:]
    var result: [(key: Key, call: Layouter.Call)] = []
    for (index, call) in calls.enumerated() {
      let launch = call.rows[0]
      let key = Key(
        level: levels[index], kernel: launch.kernel.name,
        variants: abilities.rowsMixVariants ? [] : launch.openCL?.kernels ?? [],
        dtype: launch.dtype,
        rowBytes: launch.row.count, isBackward: call.isBackward)
      if let group = groups[key] {
        result[group].call.rows += call.rows
      } else {
        groups[key] = result.count
        result.append((key, call))
      }
    }
    // Stable: within a level, kernels in the order of their first call.
    let order = result.indices.sorted { a, b in
      let (x, y) = (result[a].key, result[b].key)
      if x.isBackward != y.isBackward { return !x.isBackward }
      return (x.level, a) < (y.level, b)
    }
    return order.map { result[$0].call }
  }

  /// How many calls must run one after another before each call, forward and backward apart.
  private func levels() -> [Int] {
    var levels = [Int](repeating: 0, count: calls.count)
    // From which level on a value may be read, and from which on it may be written again.
    var written: [Int32: Int] = [:]
    var read: [Int32: Int] = [:]
    var (last, lastNode, nodeLevel) = (0, -1, 0)
    var isBackward = false
    // Nothing is moved across a barrier: what follows one runs after all that came before.
    var (barrier, floor) = (Int32(0), 0)
    var updates: [Int] = []
    var lastUse: [Int32: Int] = [:]
    for (index, call) in calls.enumerated() {
      if call.isBackward && !isBackward {
        postpone(updates, &levels, to: last + 1, lastUse)
        (written, read, updates) = ([:], [:], [])
        (isBackward, lastNode) = (true, -1)
        floor = 0
      }
      if call.barrier != barrier {
        barrier = call.barrier
        floor = last + 1
      }
      // Calls of one node follow one another: they may share a result or a workspace.
      if call.node != lastNode { (lastNode, nodeLevel) = (call.node, floor) }
      var level = nodeLevel
      let operands = call.rows.flatMap(\.operands).map(\.dependency).filter { $0 >= 0 }
      for value in operands {
        level = max(level, written[value] ?? 0)
        for part in parts[value] ?? [] { level = max(level, written[part] ?? 0) }
      }
      for value in call.writes { level = max(level, read[value] ?? 0) }
      levels[index] = level
      nodeLevel = level + 1
      for value in call.writes { written[value] = max(written[value] ?? 0, level + 1) }
      for value in operands {
        read[value] = max(read[value] ?? 0, level + 1)
        lastUse[value] = index
      }
      if call.isUpdate { updates.append(index) }
      last = max(last, level)
    }
    if !isBackward { postpone(updates, &levels, to: last + 1, lastUse) }
    return levels
  }

  /// Moves updates that nothing waits for to the end, where all of them become one call.
  private func postpone(
    _ updates: [Int], _ levels: inout [Int], to level: Int, _ lastUse: [Int32: Int]
  ) {
    for index in updates where calls[index].writes.allSatisfy({ lastUse[$0] ?? index <= index }) {
      levels[index] = level
    }
  }
}
