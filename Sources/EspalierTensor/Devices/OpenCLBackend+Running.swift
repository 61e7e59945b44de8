import CKernels
import COpenCL

extension Launch {
  /// Index of the location of operand `k` in a row.
  func location(row: Int, operand k: Int) -> Int {
    Int(firstOperand) + (hasRowLocations ? row * Int(operandCount) : 0) + k
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

  /// Copies the rows, with offsets behind their buffers instead of their spaces, and sends all of
  /// them in one write.
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
          let location = program.locations[launch.location(row: row, operand: k)]
          let shift = spaces[Int(location.space)].byteOffset / location.dtype.byteCount
          fields[k].offset &+= UInt32(truncatingIfNeeded: shift)
        }
      }
      end = (first + count) * size
    }
    let status = esp_cl_write(
      context, staged.buffer, UInt64(staged.offset), UInt64(end - staged.offset), staged.memory, 0)
    try check("rows", status)
    return staged.buffer
  }

  /// Rows whose operands share their buffers run in one launch.
  private func enqueue(
    _ launch: Launch, _ program: Program, _ kernels: OpenCLKernels, _ spaces: [ResolvedSpace],
    _ rows: OpaquePointer, _ firstRow: UInt64
  ) throws(DeviceError) {
    let (count, operands) = (Int(launch.rowCount), Int(launch.operandCount))
    let steps = kernels.steps[kernels.calls[Int(launch.openCL)]]
    func buffer(_ row: Int, _ k: Int) -> OpaquePointer {
      let location = program.locations[launch.location(row: row, operand: k)]
      return OpaquePointer(spaces[Int(location.space)].memory)
    }
    let status = withUnsafeTemporaryAllocation(of: OpaquePointer?.self, capacity: operands) {
      buffers -> Int32 in
      var row = 0
      while row < count {
        for k in 0..<operands { buffers[k] = buffer(row, k) }
        var end = launch.hasRowLocations ? row + 1 : count
        while end < count, (0..<operands).allSatisfy({ buffers[$0] == buffer(end, $0) }) {
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

  /// On a CPU an item is work enough for a core; elsewhere items side by side form a group.
  private var localSize: UInt32 {
    description.type == Int32(ESP_CL_CPU) ? 1 : min(64, description.max_group)
  }
}
