import CKernels
import Espalier
import OperationCases

/// The table of operations: kernels beside rivals, then whole operations on each device.
struct OperationBench {
  private let options: BenchOptions
  private let devices: [Device]

  /// A table of what the options ask for.
  init(_ options: BenchOptions) throws {
    self.options = options
    devices =
      options.device == "all"
      ? DeviceList.all().map(\.device) : [try Device(named: options.device)]
  }

  /// Verifies, times and writes all rows.
  func run(_ report: Report) throws {
    let machine = Machine(report)
    var failures = 0
    if devices.contains(.cpu) && options.wants("record", "engine", "cpu") {
      failures += try RecordBench().run(report)
    }
    if devices.contains(.cpu) { failures += try runKernels(report, machine) }
    for device in devices { failures += try runOperations(report, machine, device) }
    for device in devices where !device.isCPU {
      failures += try BlastBench(device, options).run(report)
    }
    guard failures == 0 else { throw CheckError(message: "\(failures) checks failed") }
  }

  // MARK: Kernels of the CPU beside rivals

  private func runKernels(_ report: Report, _ machine: Machine) throws -> Int {
    let rivals = Rivals(threads: Int(esp_threads()))
    var failures = 0
    for operation in KernelCases.all()
    where options.wants(
      "\(operation.op), \(operation.variant)", operation.shape, "own")
    {
      let exact = KernelCall(operation, isDouble: true)
      exact.run()
      let expected = exact.outputs
      var rows: [OperationRow] = []
      var bodies: [() throws -> Void] = []
      func add(
        _ variant: String, _ outputs: [Double], bound: Double, copyRate: Double? = nil,
        _ body: @escaping () -> Void
      ) {
        rows.append(
          OperationRow(
            op: "\(operation.op), \(operation.variant)", variant: variant, shape: operation.shape,
            flops: operation.flops, nominalFlops: operation.nominalFlops,
            bytes: operation.byteCount, error: relativeError(outputs, expected), bound: bound,
            copyRate: copyRate))
        bodies.append(body)
      }
      let call = KernelCall(operation)
      call.run()
      add(
        "own", call.outputs, bound: 1e-5,
        copyRate: operation.isMemoryBound ? machine.smallCopy : nil
      ) { call.run() }
      if operation.isMemoryBound {
        let calls = coldCalls(operation)
        var next = 0
        add("own, cold", call.outputs, bound: 1e-5, copyRate: machine.largeCopy) {
          calls[next].run()
          next = (next + 1) % calls.count
        }
      }
      if let (name, rival) = rivals.call(for: operation) {
        rival.run()
        add(name, rival.outputs, bound: 1e-4) { rival.run() }
      }
      failures += try OperationBench.time(rows, bodies, report, machine.peak)
    }
    return failures
  }

  /// Operands in turn, together so large that none is in a cache when its turn comes.
  private func coldCalls(_ operation: KernelCase) -> [KernelCall] {
    let count = max(2, Int(256 * 0x1p20 / operation.byteCount))
    return (0..<count).map { _ in KernelCall(operation) }
  }

  /// Times the rows that are right and writes all; returns how many are not.
  static func time(
    _ rows: [OperationRow], _ bodies: [() throws -> Void], _ report: Report, _ peak: Double?
  ) throws -> Int {
    let right = rows.indices.filter { rows[$0].isRight }
    let samples = try Timing.compare(right.map { bodies[$0] })
    for (index, row) in rows.enumerated() {
      row.write(report, right.firstIndex(of: index).map { samples[$0] }, peak: peak)
    }
    return rows.count - right.count
  }

  // MARK: Operations through the engine

  private func runOperations(
    _ report: Report, _ machine: Machine, _ device: Device
  ) throws -> Int {
    func isWanted(_ operation: OperationCase) -> Bool {
      options.wants(operation.name, "engine", "\(device)")
    }
    var cases = OperationCases.large.filter(isWanted)
    // Small shapes measure little but the host: only where they are asked for.
    if cases.isEmpty { cases = OperationCases.all.filter(isWanted) }
    var failures = 0
    for operation in cases {
      let runs = try Device.with(device) { () -> [EngineCase] in
        try [false, true].compactMap { try EngineCase(operation, device, isBackward: $0) }
      }
      failures += try OperationBench.time(
        runs.map(\.row), runs.map { run in { try Device.with(device) { try run.run() } } }, report,
        machine.peak)
    }
    return failures
  }
}

/// A check that failed: exit code 1.
struct CheckError: Error, CustomStringConvertible {
  let message: String
  var description: String { message }
}
