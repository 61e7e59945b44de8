import CKernels
import COpenCL
import Glibc

/// One OpenCL device. Launches enter an in-order queue and return at once; only reads wait.
final class OpenCLBackend: Backend, @unchecked Sendable {
  let device: Device
  let pool = MemoryPool()
  let context: OpaquePointer
  private let description: esp_cl_device
  private let programs: OpenCLPrograms
  private let staging: OpenCLStaging
  /// One lock for all devices: COpenCL is for one thread at a time.
  private let lock = OpenCLBackends.lock
  /// `ESPALIER_SYNC=1` waits after each launch, so that an error names the call that caused it.
  private let waitsForEachLaunch = environmentVariable("ESPALIER_SYNC") == "1"
  private var noted: Set<String> = []
  private var firstRows: [UInt64] = []

  init(_ device: Device, _ description: esp_cl_device) throws(DeviceError) {
    self.device = device
    self.description = description
    var context: OpaquePointer?
    let error = CMessage()
    let status = esp_cl_open(Int32(device.index), 0, &context, error.buffer, error.capacity)
    guard status == 0, let context else {
      throw .failed(operation: "\(device)", reason: error.text)
    }
    self.context = context
    programs = OpenCLPrograms(context)
    staging = OpenCLStaging(context)
  }

  /// Bytes in use and at most in use so far.
  var byteCounts: (used: Int, peak: Int) {
    lock.with { (Int(esp_cl_bytes_used(context)), Int(esp_cl_bytes_peak(context))) }
  }

  /// Bytes that buffers may take together; for tests of running out.
  var byteLimit: Int {
    get { lock.with { Int(esp_cl_bytes_limit(context)) } }
    set { lock.with { esp_cl_set_bytes_limit(context, UInt64(newValue)) } }
  }

  var usedKernels: [String] { lock.with { programs.used } }

  // MARK: Memory

  func allocate(_ byteCount: Int) throws(DeviceError) -> UnsafeMutableRawPointer {
    try lock.with { () throws(DeviceError) in
      if let buffer = create(byteCount) { return buffer }
      // What the pool keeps for later may be what is missing.
      pool.drain(self)
      if let buffer = create(byteCount) { return buffer }
      let largest = Int(description.max_allocation)
      let free = max(0, byteLimit - byteCounts.used)
      throw .outOfMemory(
        wanted: byteCount, free: min(free, largest),
        largest: byteCount > largest
          ? "\(device) gives at most \(largest) bytes in one buffer"
          : "\(device) has \(byteLimit) bytes, \(byteCounts.used) in use")
    }
  }

  private func create(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    var buffer: OpaquePointer?
    let status = esp_cl_buffer_create(context, UInt64(max(byteCount, 1)), &buffer, nil, 0)
    return status == 0 ? buffer.map { UnsafeMutableRawPointer($0) } : nil
  }

  func free(_ memory: UnsafeMutableRawPointer, _ byteCount: Int) {
    // Work that still uses it holds it: the driver counts references.
    lock.with { esp_cl_buffer_release(context, OpaquePointer(memory)) }
  }

  func write(_ source: UnsafeRawBufferPointer, to slice: Slice) throws(DeviceError) {
    guard let base = source.baseAddress, source.count > 0 else { return }
    try lock.with { () throws(DeviceError) in
      let target = OpaquePointer(slice.buffer.memory)
      let (offset, count) = (UInt64(slice.byteOffset), UInt64(source.count))
      // A waiting write would wait for all work queued before it.
      if let staged = try staging.reserveIfSmall(source.count) {
        staged.memory.copyMemory(from: base, byteCount: source.count)
        try check("write", esp_cl_write(context, target, offset, count, staged.memory, 0))
      } else {
        try check("write", esp_cl_write(context, target, offset, count, base, 1))
      }
    }
  }

  func read(_ slice: Slice, into target: UnsafeMutableRawBufferPointer) throws(DeviceError) {
    guard let base = target.baseAddress, target.count > 0 else { return }
    try lock.with { () throws(DeviceError) in
      let source = OpaquePointer(slice.buffer.memory)
      let (offset, count) = (UInt64(slice.byteOffset), UInt64(target.count))
      try check("read", esp_cl_read(context, source, offset, count, base, 1))
    }
  }

  func finish() throws(DeviceError) {
    try lock.with { () throws(DeviceError) in try check("finish", esp_cl_finish(context)) }
  }

  func check(_ operation: String, _ status: Int32) throws(DeviceError) {
    guard status != 0 else { return }
    let name = String(cString: esp_cl_status_name(status))
    throw .failed(operation: "\(operation) on \(device)", reason: "\(name) (\(status))")
  }

  // MARK: Running

  func run(_ program: Program, _ spaces: [ResolvedSpace]) throws(DeviceError) {
    try lock.with { () throws(DeviceError) in
      let kernels = try programs.kernels(of: program)
      let rows = try stageRows(program, kernels, spaces)
      for index in program.launches.indices {
        let launch = program.launches[index]
        guard launch.openCL >= 0 else {
          if noted.insert(program.names[index]).inserted {
            DeviceNotes.say(
              "\(device) has no kernel for \(program.names[index]) as it is used: it runs on the CPU")
          }
          try runOnHost(launch, program, spaces)
          continue
        }
        try enqueue(launch, program, kernels, spaces, rows, firstRows[index])
        if waitsForEachLaunch { try check(program.names[index], esp_cl_finish(context)) }
      }
    }
  }

  /// Copies the rows, with offsets behind their buffers instead of their spaces, and sends all of
  /// them in one write. A copy, because a plan may run again before the device has read its rows.
  private func stageRows(
    _ program: Program, _ kernels: OpenCLKernels, _ spaces: [ResolvedSpace]
  ) throws(DeviceError) -> OpaquePointer {
    let staged = try staging.reserve(kernels.stagingBytes)
    firstRows.removeAll(keepingCapacity: true)
    var end = staged.offset
    for launch in program.launches {
      // A kernel finds its rows by number, so they begin at a multiple of their size.
      let (size, count) = (Int(launch.rowBytes), Int(launch.rowCount))
      let first = (end + size - 1) / size
      firstRows.append(UInt64(first))
      let target = staged.memory + (first * size - staged.offset)
      target.copyMemory(from: program.rows + Int(launch.rowOffset), byteCount: size * count)
      for k in 0..<Int(launch.operandCount) {
        let location = program.locations[Int(launch.firstOperand) + k]
        let shift = spaces[Int(location.space)].byteOffset / location.dtype.byteCount
        guard shift != 0 else { continue }
        for row in 0..<count {
          let field = target + (row * size + MemoryLayout<esp_operand>.stride * k)
          field.assumingMemoryBound(to: esp_operand.self).pointee.offset += UInt32(shift)
        }
      }
      end = (first + count) * size
    }
    let status = esp_cl_write(
      context, staged.buffer, UInt64(staged.offset), UInt64(end - staged.offset), staged.memory, 0)
    try check("rows", status)
    return staged.buffer
  }

  private func enqueue(
    _ launch: Launch, _ program: Program, _ kernels: OpenCLKernels, _ spaces: [ResolvedSpace],
    _ rows: OpaquePointer, _ firstRow: UInt64
  ) throws(DeviceError) {
    let status = withUnsafeTemporaryAllocation(of: OpaquePointer?.self, capacity: 32) { buffers in
      for k in 0..<Int(launch.operandCount) {
        let location = program.locations[Int(launch.firstOperand) + k]
        buffers[k] = OpaquePointer(spaces[Int(location.space)].memory)
      }
      for step in kernels.steps[kernels.calls[Int(launch.openCL)]] {
        let status = esp_cl_launch_from(
          context, step.kernel, buffers.baseAddress, launch.operandCount, rows, firstRow,
          step.items, UInt64(launch.rowCount), localSize)
        if status != 0 { return status }
      }
      return 0
    }
    guard status != 0 else { return }
    let names = program.openCLCalls[Int(launch.openCL)].steps.compactMap(\.kernel)
    try check(names.joined(separator: ", "), status)
  }

  /// On a CPU an item is work enough for a core; elsewhere items side by side form a group.
  private var localSize: UInt32 {
    description.type == Int32(ESP_CL_CPU) ? 1 : min(64, description.max_group)
  }
}
