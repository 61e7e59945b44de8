import CKernels
import Glibc

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
}

/// Process-wide state behind one lock: plans, arenas, devices.
final class Engine: @unchecked Sendable {
  static let shared = Engine()

  let lock = Lock()
  private(set) var plans: [PlanKey: Plan] = [:]
  private var arenas: [Device: Arena] = [:]
  private var zeros: [Device: Buffer] = [:]
  private var adders: [TensorType: Program] = [:]
  var counters = EngineCounters()
  /// Whether plans are being made ahead: misses and growth do not count.
  var isRehearsing: Bool { ThreadState.current.isRehearsing }
  private var numbers: UnsafeMutablePointer<Int32>?
  private var numberCount = 0

  func backend(_ device: Device) throws(DeviceError) -> any Backend {
    if device.isCPU { return CPUBackend.shared }
    return try OpenCLBackends.shared.backend(device)
  }

  func plan(_ key: PlanKey, make: () -> Plan) -> Plan {
    count(\.planLookups, 1)
    if let plan = plans[key] { return plan }
    if !isRehearsing { count(\.planMisses, 1) }
    let plan = make()
    count(\.planSeconds, plan.seconds)
    plans[key] = plan
    return plan
  }

  /// Adds to a counter of the process and of this thread.
  func count<N: AdditiveArithmetic>(_ counter: WritableKeyPath<EngineCounters, N>, _ amount: N) {
    counters[keyPath: counter] += amount
    ThreadState.current.counters[keyPath: counter] += amount
  }

  /// Room for one number a value, for the look-up that is going on.
  func localNumbers(count: Int) -> UnsafeMutablePointer<Int32> {
    if let numbers, numberCount >= count { return numbers }
    numbers?.deallocate()
    let made = UnsafeMutablePointer<Int32>.allocate(capacity: count * 2)
    numbers = made
    numberCount = count * 2
    return made
  }

  func arena(_ device: Device) throws(DeviceError) -> Arena {
    if let arena = arenas[device] { return arena }
    let arena = Arena(try backend(device))
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

  func reset() { plans = [:] }
}

/// One growing piece of memory that a flush uses from its start.
final class Arena {
  /// `ESPALIER_ARENA=exact` gives every value a buffer of its exact size instead, so that tools see
  /// what goes beyond it.
  static let isExact = environmentVariable("ESPALIER_ARENA") == "exact"

  private let backend: any Backend
  private(set) var memory: UnsafeMutableRawPointer?
  private(set) var capacity = 0

  init(_ backend: any Backend) { self.backend = backend }

  /// Makes sure of `byteCount` bytes; returns whether memory had to be obtained.
  func reserve(_ byteCount: Int) throws(DeviceError) -> Bool {
    guard byteCount > capacity else { return false }
    if let memory {
      try backend.finish()
      backend.free(memory, capacity)
      self.memory = nil
      capacity = 0
    }
    // Room to spare, so that slightly larger needs do not move the arena again.
    let wanted = (byteCount + byteCount / 8 + 4095) & ~4095
    memory = try backend.allocate(wanted)
    capacity = wanted
    return true
  }
}

extension Program {
  /// A program of one call whose rows the caller fills in: operand k counts from `spaces[k]`.
  static func direct<Row>(
    _ kernel: Kernel, _ dtype: DType, spaces: [Int32], rows: [Row], scalars: [Scalar] = [],
    dtypes: [DType]? = nil, openCL: OpenCLCall? = nil
  ) -> Program {
    let bytes = MemoryLayout<Row>.stride
    let program = Program(rowBytes: bytes * rows.count)
    for (index, row) in rows.enumerated() {
      program.rows.storeBytes(of: row, toByteOffset: index * bytes, as: Row.self)
    }
    for (k, space) in spaces.enumerated() {
      program.locations.append(
        Location(space: space, dtype: dtypes?[k] ?? dtype, byteOffset: 0))
    }
    for (s, scalar) in scalars.enumerated() {
      for index in rows.indices {
        program.scalars.append((index * bytes + 12 * spaces.count + 4 * s, scalar))
      }
    }
    var call: Int32 = -1
    if let openCL = openCL?.resolved(for: kernel, dtype) {
      call = 0
      program.openCLCalls.append(openCL)
    }
    program.launches.append(
      Launch(
        function: kernel.function(dtype), firstOperand: 0, operandCount: Int32(spaces.count),
        rowOffset: 0, rowBytes: Int32(bytes), rowCount: Int32(rows.count),
        hasRowLocations: false, openCL: call,
        origin: -1))
    program.names.append(kernel.name)
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
