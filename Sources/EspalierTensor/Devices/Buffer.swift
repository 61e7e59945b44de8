/// A piece of device memory; goes back to its device's pool when the last reference is gone.
final class Buffer: @unchecked Sendable {
  let backend: any Backend
  let byteCount: Int
  /// Host address on the CPU, `cl_mem` on OpenCL.
  let memory: UnsafeMutableRawPointer

  init(backend: any Backend, byteCount: Int, memory: UnsafeMutableRawPointer) {
    self.backend = backend
    self.byteCount = byteCount
    self.memory = memory
  }

  deinit { backend.pool.recycle(memory, byteCount) }
}

/// Where a stored tensor lies: dense, from a byte offset on.
struct Slice {
  let buffer: Buffer
  let byteOffset: Int
}

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

/// Free memory of one device by size, so that a steady state allocates nothing.
///
/// Sizes are rounded to one of eight steps an octave: at most an eighth is lost, and equal work finds
/// equal sizes again.
final class MemoryPool: @unchecked Sendable {
  private var free: [Int: [UnsafeMutableRawPointer]] = [:]
  private let lock = Lock()
  /// Bytes obtained from the system, for `peak_bytes` and tests of the steady state.
  private(set) var allocatedBytes = 0

  static func rounded(_ byteCount: Int) -> Int {
    if Arena.isExact { return max(byteCount, 1) }
    let size = max(byteCount, 64)
    if size <= 512 { return (size + 63) & ~63 }
    let step = 1 << (Int.bitWidth - (size - 1).leadingZeroBitCount - 4)
    return (size + step - 1) & ~(step - 1)
  }

  func make(_ byteCount: Int, on backend: any Backend) throws(DeviceError) -> Buffer {
    let size = MemoryPool.rounded(byteCount)
    if let memory = lock.with({ free[size]?.popLast() }) {
      return Buffer(backend: backend, byteCount: size, memory: memory)
    }
    let memory = try backend.allocate(size)
    lock.with { allocatedBytes += size }
    return Buffer(backend: backend, byteCount: size, memory: memory)
  }

  func recycle(_ memory: UnsafeMutableRawPointer, _ byteCount: Int) {
    lock.with { free[byteCount, default: []].append(memory) }
  }

  /// Returns all free memory to the system.
  func drain(_ backend: any Backend) {
    let drained = lock.with {
      let all = free
      free = [:]
      return all
    }
    for (size, list) in drained {
      for memory in list { backend.free(memory, size) }
      lock.with { allocatedBytes -= size * list.count }
    }
  }
}
