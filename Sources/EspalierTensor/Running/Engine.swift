import CKernels
import Glibc

/// Process-wide state behind one lock: plans, arenas, devices.
final class Engine: @unchecked Sendable {
  static let shared = Engine()

  let lock = Lock()
  var plans = PlanCache()
  let room = FlushRoom()
  private var arenas: [Device: Arena] = [:]
  private var zeros: [Device: Buffer] = [:]
  private var adders: [TensorType: Program] = [:]
  private var copiers: [TensorType: Program] = [:]
  var counters = EngineCounters()
  /// Whether plans are being made ahead: misses and growth do not count.
  var isRehearsing: Bool { ThreadState.current.isRehearsing }
  /// Chunks of arenas are no larger than this; for tests.
  var largestChunk = Int.max

  func backend(_ device: Device) throws(DeviceError) -> any Backend {
    if device.isCPU { return CPUBackend.shared }
    return try OpenCLBackends.shared.backend(device)
  }

  /// Adds what a flush counted to the counters of the process and of this thread.
  func add(_ counted: EngineCounters) {
    counters += counted
    ThreadState.current.counters += counted
  }

  /// Adds to a counter of the process and of this thread.
  func count<N: AdditiveArithmetic>(_ counter: WritableKeyPath<EngineCounters, N>, _ amount: N) {
    counters[keyPath: counter] += amount
    ThreadState.current.counters[keyPath: counter] += amount
  }

  func arena(_ device: Device) throws(DeviceError) -> Arena {
    if let arena = arenas[device] { return arena }
    let backend = try backend(device)
    let arena = Arena(backend, chunkBytes: min(backend.largestBuffer, largestChunk))
    arenas[device] = arena
    return arena
  }

  /// Zeros of at least `byteCount` bytes that nobody may write.
  func zeroPage(_ byteCount: Int, _ device: Device) throws(DeviceError) -> Buffer {
    if let buffer = zeros[device], buffer.byteCount >= byteCount { return buffer }
    let backend = try backend(device)
    let buffer = try backend.pool.make(byteCount, on: backend)
    let zeros = [UInt8](repeating: 0, count: buffer.byteCount)
    let result = zeros.withUnsafeBytes { bytes -> Result<Void, DeviceError> in
      do throws(DeviceError) {
        return .success(try backend.write(bytes, to: Slice(buffer: buffer, byteOffset: 0)))
      } catch { return .failure(error) }
    }
    try result.get()
    self.zeros[device] = buffer
    return buffer
  }

  /// The program that adds a dense tensor in space 1 into the one in space 0.
  func adder(_ type: TensorType) -> Program {
    if let known = adders[type] { return known }
    let count = type.shape.count
    var row = esp_binary_row()
    row.kind = Int32(ESP_ADD.rawValue)
    row.size = (1, 1, 1, 1, 1, Int32(count))
    row.stride_a = (0, 0, 0, 0, 0, 1)
    row.stride_b = row.stride_a
    row.stride_y = row.stride_a
    let program = Program.direct(
      .binary, type.dtype, spaces: [0, 1, 0], rows: [row],
      openCL: .items(elementwiseItems(count)))
    for k in program.locations.indices { program.locations[k].byteCount = type.byteCount }
    adders[type] = program
    return program
  }

  /// The program that copies a dense tensor from space 0 into space 1.
  func copier(_ type: TensorType) -> Program {
    if let known = copiers[type] { return known }
    let count = type.shape.count
    var row = esp_copy_row()
    row.size = (1, 1, 1, 1, 1, Int32(count))
    row.stride_x = (0, 0, 0, 0, 0, 1)
    row.stride_y = row.stride_x
    let program = Program.direct(
      .copy32, type.dtype, spaces: [0, 1], rows: [row], openCL: .items(elementwiseItems(count)))
    for k in program.locations.indices { program.locations[k].byteCount = type.byteCount }
    copiers[type] = program
    return program
  }
}

/// Work-items for an elementwise kernel that takes 1,024 elements an item.
func elementwiseItems(_ count: Int) -> Int { max(1, (count + 1023) / 1024) }

/// Vectors of 16 elements, the last perhaps partly filled.
func vectors(_ count: Int) -> Int { (count + 15) / 16 }

func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

func environmentVariable(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }
}
