/// Kernel calls whose rows are written anew for each run, into memory that was obtained once.
final class LaunchTable {
  /// One kind of call.
  struct Call {
    let kernel: Kernel
    /// The element type of each operand.
    let operands: [DType]
    /// Bytes of a row.
    let rowBytes: Int
    /// OpenCL work-items a row.
    let items: Int
  }

  private let calls: [Call]
  private let program: Program
  private var spaces: [ResolvedSpace] = []
  private var rowEnd = 0
  /// The kind of the last call.
  private var last = -1
  /// The most bytes of rows so far: OpenCL reserves room for a program's rows when it first runs.
  private var stagedBytes = 0

  /// A table for calls of some kinds on float32 data, with room for `rowBytes` bytes of rows.
  init(_ calls: [Call], rowBytes: Int) {
    self.calls = calls
    program = Program(rowBytes: rowBytes)
    program.openCLCalls = calls.map { call in
      guard let own = OpenCLCall.items(call.items).resolved(for: call.kernel, .float32) else {
        preconditionFailure("\(call.kernel.name) has no OpenCL kernel")
      }
      return own
    }
  }

  /// Forgets all calls and rows; their memory stays.
  func clear() {
    program.launches.removeAll(keepingCapacity: true)
    program.locations.removeAll(keepingCapacity: true)
    program.names.removeAll(keepingCapacity: true)
    spaces.removeAll(keepingCapacity: true)
    (rowEnd, last) = (0, -1)
  }

  /// Says what the next rows are for: a call of kind `kind` over operands that lie in `memory`.
  ///
  /// Rows of the same kind and memory join one call.
  func begin(_ kind: Int, _ memory: (_ operand: Int) -> UnsafeMutableRawPointer) {
    let call = calls[kind]
    let count = call.operands.count
    let first = spaces.count - count
    if kind == last && (0..<count).allSatisfy({ spaces[first + $0].memory == memory($0) }) {
      return
    }
    last = kind
    program.launches.append(
      Launch(
        function: call.kernel.function(.float32), firstOperand: Int32(program.locations.count),
        operandCount: Int32(count), rowOffset: Int32(rowEnd), rowBytes: Int32(call.rowBytes),
        rowCount: 0, hasRowLocations: false, openCL: Int32(kind), origin: -1))
    program.names.append(call.kernel.name)
    for k in 0..<count {
      program.locations.append(
        Location(space: Int32(spaces.count), dtype: call.operands[k], byteOffset: 0))
      spaces.append(ResolvedSpace(memory: memory(k), byteOffset: 0))
    }
  }

  /// Adds a row to the call that was begun last.
  func add<Row>(_ row: Row) {
    precondition(rowEnd + MemoryLayout<Row>.stride <= program.rowBytes, "the table is full")
    program.rows.storeBytes(of: row, toByteOffset: rowEnd, as: Row.self)
    rowEnd += MemoryLayout<Row>.stride
    program.launches[program.launches.count - 1].rowCount += 1
  }

  /// Runs all calls; called under the engine's lock.
  func run(on backend: any Backend) throws(DeviceError) {
    let bytes = program.launches.reduce(0) { $0 + Int($1.rowBytes) * (Int($1.rowCount) + 1) }
    if bytes > stagedBytes {
      program.openCLKernels = nil
      stagedBytes = bytes
    }
    Engine.shared.count(\.launches, program.launches.count)
    try backend.run(program, spaces)
  }
}
