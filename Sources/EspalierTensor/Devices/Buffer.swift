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
