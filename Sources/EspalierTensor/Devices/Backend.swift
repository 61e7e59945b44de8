/// What a kind of device must do.
///
/// Calls come from one thread at a time (the engine's lock).
protocol Backend: AnyObject, Sendable {
  var device: Device { get }
  var pool: MemoryPool { get }
  /// What a planner may do for this kind of device.
  static var planningAbilities: PlanningAbilities { get }
  /// Bytes of the largest buffer that the device gives.
  var largestBuffer: Int { get }

  /// New memory of at least `byteCount` bytes, 64-byte aligned.
  func allocate(_ byteCount: Int) throws(DeviceError) -> UnsafeMutableRawPointer
  func free(_ memory: UnsafeMutableRawPointer, _ byteCount: Int)

  /// Copies host bytes to the device; the source may be reused at once.
  func write(_ source: UnsafeRawBufferPointer, to slice: Slice) throws(DeviceError)
  /// Waits for all work, then copies device bytes to the host.
  func read(_ slice: Slice, into target: UnsafeMutableRawBufferPointer) throws(DeviceError)

  /// Runs launches in order. `spaces[l.space]` is where operand locations count from.
  func run(_ program: Program, _ spaces: [ResolvedSpace]) throws(DeviceError)
  /// Waits until everything that was started is done.
  func finish() throws(DeviceError)
}

/// Where one space of a plan lies this time.
struct ResolvedSpace {
  var memory: UnsafeMutableRawPointer
  var byteOffset: Int
}
