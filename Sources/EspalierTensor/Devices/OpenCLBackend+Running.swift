import CKernels
import COpenCL

extension Launch {
  /// Index of the location of operand `k` in a row.
  func location(row: Int, operand k: Int) -> Int {
    Int(firstOperand) + (hasRowLocations ? row * Int(operandCount) : 0) + k
  }

  /// Whether a row adds to what is there.
  func accumulates(_ row: Int, _ program: Program) -> Bool {
    (0..<Int(operandCount)).contains {
      field($0, row: row, of: program).flags & ESP_ACCUMULATE != 0
    }
  }

  /// Operand `k` as a row of the program has it.
  func field(_ k: Int, row: Int, of program: Program) -> esp_operand {
    let offset = Int(rowOffset) + row * Int(rowBytes) + MemoryLayout<esp_operand>.stride * k
    return (program.rows + offset).loadUnaligned(as: esp_operand.self)
  }
}

extension OpenCLBackend {
  func run(_ program: Program, _ spaces: [ResolvedSpace]) throws(DeviceError) {
    try lock.with { () throws(DeviceError) in
      let kernels = try programs.kernels(of: program)
      let rows = try stageRows(program, kernels, spaces)
      for index in program.launches.indices {
        let launch = program.launches[index]
        if launch.openCL >= 0 {
          guard !multiplyByBlast(launch, program, spaces) else { continue }
          try enqueue(launch, program, kernels, spaces, rows, firstRows[index])
        } else {
          note(program.names[index])
          try runOnHost(launch, program, spaces)
        }
        if waitsForEachLaunch { try check(program.names[index], esp_cl_finish(context)) }
      }
    }
  }

  private func note(_ kernel: String) {
    guard noted.insert(kernel).inserted else { return }
    DeviceNotes.say("\(device) has no kernel for \(kernel) as it is used: it runs on the CPU")
  }

  /// Copies the rows, with offsets behind their launch's bases instead of their spaces, and sends all
  /// of them in one write.
  ///
  /// A copy, because a plan may run again before the device has read its rows.
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
      for row in 0..<count {
        let fields = (target + row * size).assumingMemoryBound(to: esp_operand.self)
        for k in 0..<Int(launch.operandCount) {
          fields[k].offset = window(launch, program, spaces, row, k).offset
        }
      }
      end = (first + count) * size
    }
    let status = esp_cl_write(
      context, staged.buffer, UInt64(staged.offset), UInt64(end - staged.offset), staged.memory, 0)
    try check("rows", status)
    return staged.buffer
  }

  func window(
    _ launch: Launch, _ program: Program, _ spaces: [ResolvedSpace], _ row: Int, _ k: Int
  ) -> OperandWindow {
    let location = program.locations[launch.location(row: row, operand: k)]
    let elementBytes = location.dtype.byteCount
    let behindSpace =
      launch.hasRowLocations
      ? location.byteOffset : Int(launch.field(k, row: row, of: program).offset) * elementBytes
    return OperandWindow(
      byteOffset: spaces[Int(location.space)].byteOffset + behindSpace, elementBytes: elementBytes,
      spacing: windowSpacing)
  }

  func base(
    _ launch: Launch, _ program: Program, _ spaces: [ResolvedSpace], _ row: Int, _ k: Int
  ) -> OperandBase {
    let location = program.locations[launch.location(row: row, operand: k)]
    return OperandBase(
      memory: spaces[Int(location.space)].memory,
      origin: launch.field(k, row: row, of: program).flags & ESP_ABSENT == 0
        ? window(launch, program, spaces, row, k).origin : 0)
  }

  /// Rows whose operands share their bases run in one launch, side by side; one that adds to what an
  /// earlier row left begins another.
  private func enqueue(
    _ launch: Launch, _ program: Program, _ kernels: OpenCLKernels, _ spaces: [ResolvedSpace],
    _ rows: OpaquePointer, _ firstRow: UInt64
  ) throws(DeviceError) {
    let (count, operands) = (Int(launch.rowCount), Int(launch.operandCount))
    let steps = kernels.steps[kernels.calls[Int(launch.openCL)]]
    func base(_ row: Int, _ k: Int) -> OperandBase {
      self.base(launch, program, spaces, row, k)
    }
    var parts: [OpaquePointer] = []
    defer { for part in parts { esp_cl_buffer_release(context, part) } }
    let status = withUnsafeTemporaryAllocation(of: OpaquePointer?.self, capacity: operands) {
      buffers -> Int32 in
      var row = 0
      while row < count {
        for k in 0..<operands {
          let base = base(row, k)
          buffers[k] = OpaquePointer(base.memory)
          guard base.origin > 0 else { continue }
          let status = part(of: base, &buffers[k])
          if status != 0 { return status }
          if let part = buffers[k] { parts.append(part) }
        }
        var end = row + 1
        while end < count, (0..<operands).allSatisfy({ base(row, $0) == base(end, $0) }),
          !launch.accumulates(end, program)
        {
          end += 1
        }
        for step in steps {
          let status = esp_cl_launch_from(
            context, step.kernel, buffers.baseAddress, launch.operandCount, rows,
            firstRow + UInt64(row), step.items, UInt64(end - row), localSize)
          if status != 0 { return status }
        }
        row = end
      }
      return 0
    }
    guard status != 0 else { return }
    let names = program.openCLCalls[Int(launch.openCL)].kernels
    try check(names.joined(separator: ", "), status)
  }

  /// The rest of a buffer from a base on, as a buffer.
  func part(of base: OperandBase, _ part: inout OpaquePointer?) -> Int32 {
    let buffer = OpaquePointer(base.memory)
    let rest = esp_cl_buffer_bytes(buffer) - UInt64(base.origin)
    return esp_cl_buffer_slice(context, buffer, UInt64(base.origin), rest, &part, nil, 0)
  }

  /// On a CPU an item is work enough for a core; elsewhere items side by side form a group.
  private var localSize: UInt32 {
    description.type == Int32(ESP_CL_CPU) ? 1 : min(64, description.max_group)
  }
}
