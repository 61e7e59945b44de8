import CKernels
import COpenCL
import Glibc

/// Host copies of what a call's operands hold.
private struct HostCopy {
  let space: ResolvedSpace
  /// In bytes, within the device's buffer.
  let offset: Int
  let byteCount: Int
  /// Twice `byteCount`: what the kernel works on, then what the device held before.
  let memory: UnsafeMutableRawPointer

  init(_ space: ResolvedSpace, _ offset: Int, _ byteCount: Int) {
    self.space = space
    self.offset = offset
    self.byteCount = byteCount
    memory = .allocate(byteCount: 2 * byteCount + 64, alignment: 64)
  }

  var before: UnsafeMutableRawPointer { memory + byteCount }
  var isChanged: Bool { memcmp(memory, before, byteCount) != 0 }
}

extension OpenCLBackend {
  /// Runs a call that the device has no kernel for on the CPU: waits, copies the operands, runs,
  /// and writes back what changed.
  func runOnHost(_ launch: Launch, _ program: Program, _ spaces: [ResolvedSpace])
    throws(DeviceError)
  {
    guard launch.hasRowLocations else { return try runOnHost(launch, program, spaces, row: nil) }
    for row in 0..<Int(launch.rowCount) { try runOnHost(launch, program, spaces, row: row) }
  }

  /// One row, or all where they share their operands' locations.
  private func runOnHost(
    _ launch: Launch, _ program: Program, _ spaces: [ResolvedSpace], row: Int?
  ) throws(DeviceError) {
    let rows = row.map { $0..<($0 + 1) } ?? 0..<Int(launch.rowCount)
    var copies: [HostCopy] = []
    defer { for copy in copies { copy.memory.deallocate() } }
    var bases: [UnsafeMutableRawPointer?] = []
    for k in 0..<Int(launch.operandCount) {
      guard rows.contains(where: { isPresent(k, launch, program, $0) }) else {
        bases.append(nil)
        continue
      }
      let location = program.locations[launch.location(row: rows.lowerBound, operand: k)]
      let space = spaces[Int(location.space)]
      let offset = space.byteOffset + location.byteOffset
      let end = Int(esp_cl_buffer_bytes(OpaquePointer(space.memory)))
      let count = location.byteCount > 0 ? location.byteCount : end - offset
      // Operands of one place, as of an update in place, share one copy.
      let known = copies.first {
        $0.space.memory == space.memory && $0.offset == offset && $0.byteCount >= count
      }
      let copy = known ?? HostCopy(space, offset, count)
      if known == nil {
        copies.append(copy)
        let status = esp_cl_read(
          context, OpaquePointer(space.memory), UInt64(offset), UInt64(count), copy.memory, 1)
        try check("read for the CPU", status)
        copy.before.copyMemory(from: copy.memory, byteCount: count)
      }
      // Rows count from the space, the copy begins at the value; too far, and the row says 0.
      let isFar = location.byteOffset / location.dtype.byteCount > UInt32.max
      bases.append(copy.memory - (isFar ? 0 : location.byteOffset))
    }
    let nowhere = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    defer { nowhere.deallocate() }
    bases = bases.map { $0 ?? nowhere }
    let first = program.rows + (Int(launch.rowOffset) + rows.lowerBound * Int(launch.rowBytes))
    launch.function(&bases, first, Int32(rows.count))
    for copy in copies where copy.isChanged {
      let status = esp_cl_write(
        context, OpaquePointer(copy.space.memory), UInt64(copy.offset), UInt64(copy.byteCount),
        copy.memory, 1)
      try check("write from the CPU", status)
    }
  }

  private func isPresent(_ k: Int, _ launch: Launch, _ program: Program, _ row: Int) -> Bool {
    launch.field(k, row: row, of: program).flags & ESP_ABSENT == 0
  }
}
