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
