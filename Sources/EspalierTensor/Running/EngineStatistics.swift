/// What the engine counted since the counters were last reset; of the whole process.
public struct EngineCounters: Sendable {
  /// Kernel calls.
  public var launches = 0
  /// Recorded operations that ran.
  public var records = 0
  /// Plans looked up.
  public var planLookups = 0
  /// Look-ups outside a rehearsal that had to plan.
  public var planMisses = 0
  /// Seconds spent planning.
  public var planSeconds = 0.0
  /// How often an arena had to grow outside a rehearsal.
  public var arenaGrowths = 0
  /// Bytes the programs that ran were planned to hold in frames and scratch.
  public var bytesPlanned = 0

  /// All zero.
  public init() {}

  static func += (a: inout EngineCounters, b: EngineCounters) {
    a.launches += b.launches
    a.records += b.records
    a.planLookups += b.planLookups
    a.planMisses += b.planMisses
    a.planSeconds += b.planSeconds
    a.arenaGrowths += b.arenaGrowths
    a.bytesPlanned += b.bytesPlanned
  }
}

/// What the engine counted, of the whole process: for tests of the steady state, and for Bench.
public enum EngineStatistics {
  /// The counts since the last `reset()`.
  public static var counters: EngineCounters { Engine.shared.lock.with { Engine.shared.counters } }

  /// The counts of this thread's flushes since it began.
  public static var threadCounters: EngineCounters { ThreadState.current.counters }

  /// Sets all counts to zero; plans and memory stay.
  public static func reset() {
    Engine.shared.lock.with { Engine.shared.counters = EngineCounters() }
  }
}
