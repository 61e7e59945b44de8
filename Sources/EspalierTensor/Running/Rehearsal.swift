/// Planning ahead: steps are recorded and planned but nothing runs.
///
/// Reads give zeros, updates and optimizers change nothing, and the arena is sized for the worst mix
/// of what was rehearsed: plans add up, so does their memory. Afterwards a step that only recombines
/// what was rehearsed plans nothing and allocates nothing.
package enum Rehearsal {
  /// Runs `body` as a rehearsal.
  package static func run(_ body: () throws -> Void) throws {
    try Executor.finishBeforeWrite()
    let state = ThreadState.current
    let outer = state.isRehearsing
    state.isRehearsing = true
    defer { state.isRehearsing = outer }
    // What an earlier rehearsal of another model found does not add to this one's.
    if !outer { state.rehearsed = [:] }
    try body()
    let memory = state.rehearsed
    let result = Engine.shared.lock.with { () -> Result<Void, DeviceError> in
      do throws(DeviceError) {
        return .success(try Engine.shared.reserve(memory))
      } catch { return .failure(error) }
    }
    try result.get()
  }

  /// What is planned at each position of a pass: two passes are planned alike where they are equal.
  ///
  /// - Parameter body: A part of a rehearsal.
  /// - Returns: By position, what identifies the plans of its blocks.
  package static func structure(of body: () throws -> Void) rethrows -> [UInt64: UInt64] {
    let state = ThreadState.current
    let outer = state.rehearsedBlocks
    state.rehearsedBlocks = [:]
    defer { state.rehearsedBlocks = outer }
    try body()
    return state.rehearsedBlocks ?? [:]
  }

  /// Whether this thread is rehearsing.
  package static var isRunning: Bool { ThreadState.current.isRehearsing }
}

/// The memory that rehearsed flushes would need, by device.
struct RehearsedMemory {
  /// The largest frame of each position; a flush stacks one of each.
  private var frames: [UInt64: Int] = [:]
  private var scratch = 0
  private var rows = 0
  /// The largest piece: so much of a chunk may stay free at its end.
  private var largest = 0
  private var chunkBytes = Int.max

  /// Takes in one flush: bytes by position in its frames, scratch and gradient rows.
  mutating func add(
    frames flush: [UInt64: Int], scratch: Int, rows: Int, largest: Int, chunkBytes: Int
  ) {
    for (position, bytes) in flush { frames[position] = max(frames[position, default: 0], bytes) }
    self.scratch = max(self.scratch, scratch)
    self.rows = max(self.rows, rows)
    self.largest = max(self.largest, largest)
    self.chunkBytes = chunkBytes
  }

  /// What any recombination needs at most.
  var bound: Int {
    let sum = frames.values.reduce(0, +) + scratch + rows + 64
    guard sum > chunkBytes else { return sum }
    // Chunks hold at least so much each; the rows begin one of their own.
    let held = max(chunkBytes - largest, 64)
    return ((sum + held - 1) / held + 1) * chunkBytes
  }
}

extension Engine {
  /// Sizes every arena for what was rehearsed; called under the lock.
  func reserve(_ rehearsed: [Device: RehearsedMemory]) throws(DeviceError) {
    for (device, memory) in rehearsed { _ = try arena(device).reserve(memory.bound) }
  }
}
