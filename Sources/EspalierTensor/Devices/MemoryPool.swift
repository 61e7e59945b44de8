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
