/// Plans by key; beyond a bound those that were used least recently are given up.
///
/// What runs is a function of the record alone, so giving plans up costs time and changes no bit.
struct PlanCache {
  /// Bytes of plans that are kept: far more than the plans of any space seen so far.
  static let bound = 1 << 30

  private struct Entry {
    var plan: Plan
    var lastUse: Int
    #if DEBUG
      var words: [UInt64]
    #endif
  }

  private let bound: Int
  private var entries: [PlanKey: Entry] = [:]
  private var uses = 0
  private(set) var byteCount = 0

  init(bound: Int = PlanCache.bound) { self.bound = bound }

  var count: Int { entries.count }

  /// All plans that are kept.
  var values: [Plan] { entries.values.map(\.plan) }

  /// The plan of a key, if it is kept.
  mutating func plan(_ key: PlanKey) -> Plan? {
    uses += 1
    guard let place = entries.index(forKey: key) else { return nil }
    #if DEBUG
      precondition(
        entries.values[place].words == key.words, "two records that differ have one plan key")
    #endif
    entries.values[place].lastUse = uses
    return entries.values[place].plan
  }

  mutating func insert(_ plan: Plan, _ key: PlanKey) {
    #if DEBUG
      entries[key] = Entry(plan: plan, lastUse: uses, words: key.words)
    #else
      entries[key] = Entry(plan: plan, lastUse: uses)
    #endif
    byteCount += plan.byteCount
    if byteCount > bound { evict() }
  }

  /// Gives up the plans used longest ago, down to three quarters of the bound, so that this is rare;
  /// never the one used last.
  private mutating func evict() {
    for (key, entry) in entries.sorted(by: { $0.value.lastUse < $1.value.lastUse }) {
      guard byteCount > bound / 4 * 3, entry.lastUse < uses else { return }
      entries[key] = nil
      byteCount -= entry.plan.byteCount
    }
  }
}

extension Plan {
  /// Bytes that the plan holds, roughly.
  fileprivate var byteCount: Int { forward.byteCount + (backward?.byteCount ?? 0) + 512 }
}

extension Program {
  fileprivate var byteCount: Int {
    rowBytes + locations.count * MemoryLayout<Location>.stride
      + launches.count * (MemoryLayout<Launch>.stride + MemoryLayout<OpenCLCall>.stride + 64)
      + scalars.count * MemoryLayout<(Int, Scalar)>.stride
  }
}
