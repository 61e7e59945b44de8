import CKernels
import COpenCL
import OperationCases

@testable import EspalierTensor

/// Runs the calls of plans again as three rows whose operands lie in one buffer, guarded on all sides.
///
/// In an arena every tensor has neighbours, so no simulator sees an overrun there; in an exact one
/// every call has one row. Guards are NaN: what is read from them shows in the results.
struct GuardedRows {
  private static let rows = 3
  private static let guardBytes = 256

  private let backend: OpenCLBackend
  private let localSize: UInt32
  private(set) var callCount = 0
  /// What was wrong, by kernel.
  private(set) var problems: [String] = []

  init(_ device: Device) throws {
    backend = try OpenCLBackends.shared.backend(device)
    localSize = backend.description.type == Int32(ESP_CL_CPU) ? 1 : 64
  }

  /// All calls of the plans made so far on the device.
  mutating func checkPlans() throws {
    let programs = Engine.shared.lock.with {
      Engine.shared.plans.values.flatMap { [$0.forward] + [$0.backward].compactMap { $0 } }
    }
    for program in programs {
      for launch in program.launches where launch.openCL >= 0 { try check(launch, program) }
    }
  }

  // MARK: One call

  private struct Place {
    let byteCount: Int
    let elementBytes: Int
    let isAbsent: Bool

    var step: Int { (byteCount + 7) / 8 * 8 + GuardedRows.guardBytes }
    var total: Int { GuardedRows.guardBytes + GuardedRows.rows * step }
    func start(_ row: Int) -> Int { GuardedRows.guardBytes + row * step }
  }

  private mutating func check(_ launch: Launch, _ program: Program) throws {
    let name = program.openCLCalls[Int(launch.openCL)].kernels[0]
    let places = (0..<Int(launch.operandCount)).map { k in
      let location = program.locations[launch.location(row: 0, operand: k)]
      return Place(
        byteCount: location.byteCount, elementBytes: location.dtype.byteCount,
        isAbsent: launch.field(k, row: 0, of: program).flags & ESP_ABSENT != 0)
    }
    guard places.allSatisfy({ $0.isAbsent || $0.byteCount > 0 }) else { return }
    callCount += 1
    let contents = places.indices.map { k in
      filling(
        places[k], program.locations[launch.location(row: 0, operand: k)].dtype, "\(name)\(k)")
    }
    let together = try run(launch, program, places, contents, [Array(0..<Self.rows)])
    let apart = try run(launch, program, places, contents, (0..<Self.rows).map { [$0] })
    for k in places.indices where !places[k].isAbsent {
      if together[k] != apart[k] {
        problems.append("\(name): operand \(k) differs in rows together")
      }
      if !isGuarded(together[k], places[k]) {
        problems.append("\(name): writes beside operand \(k)")
      }
      let dtype = program.locations[launch.location(row: 0, operand: k)].dtype
      if dtype == .float32, hasNaN(together[k], places[k]) {
        problems.append("\(name): reads beside an operand, seen in operand \(k)")
      }
    }
  }

  /// Numbers that every kernel takes: indices 0 and 1, floats that have logarithms.
  private func filling(_ place: Place, _ dtype: DType, _ label: String) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xFF, count: place.total)
    var generator = CaseGenerator(name: label, seed: 3)
    bytes.withUnsafeMutableBytes { bytes in
      for row in 0..<Self.rows where !place.isAbsent {
        for at in stride(from: 0, to: place.byteCount, by: place.elementBytes) {
          let offset = place.start(row) + at
          switch dtype {
          case .float32:
            bytes.storeBytes(
              of: Float(generator.uniform(0.5, 1.5)), toByteOffset: offset, as: Float.self)
          case .float64:
            bytes.storeBytes(
              of: generator.uniform(0.5, 1.5), toByteOffset: offset, as: Double.self)
          case .int32:
            bytes.storeBytes(of: Int32(generator.below(2)), toByteOffset: offset, as: Int32.self)
          case .bool:
            bytes.storeBytes(of: UInt8(generator.below(2)), toByteOffset: offset, as: UInt8.self)
          }
        }
      }
    }
    return bytes
  }

  /// Runs the call on fresh buffers, a launch for each list of rows, and returns what is in them.
  private func run(
    _ launch: Launch, _ program: Program, _ places: [Place], _ contents: [[UInt8]],
    _ launches: [[Int]]
  ) throws -> [[UInt8]] {
    let context = backend.context
    let size = Int(launch.rowBytes)
    var buffers: [OpaquePointer?] = []
    defer { for buffer in buffers { esp_cl_buffer_release(context, buffer) } }
    func make(_ bytes: [UInt8]) throws -> OpaquePointer? {
      var buffer: OpaquePointer?
      try require(esp_cl_buffer_create(context, UInt64(bytes.count), &buffer, nil, 0))
      buffers.append(buffer)
      try require(esp_cl_write(context, buffer, 0, UInt64(bytes.count), bytes, 1))
      return buffer
    }
    let operands = try contents.map(make)
    let kernels = try backend.programs.kernels(of: program)
    for list in launches {
      // No row 0: a kernel that always takes the first one finds nothing there.
      var table = [UInt8](repeating: 0, count: (Self.rows + 1) * size)
      for (slot, row) in list.enumerated() {
        table.withUnsafeMutableBytes { table in
          guard let base = table.baseAddress else { return }
          let fields = base + (slot + 1) * size
          fields.copyMemory(from: program.rows + Int(launch.rowOffset), byteCount: size)
          for k in places.indices {
            let offset = UInt32(places[k].start(row) / places[k].elementBytes)
            fields.storeBytes(of: offset, toByteOffset: 12 * k, as: UInt32.self)
          }
        }
      }
      let rows = try make(table)
      for step in kernels.steps[kernels.calls[Int(launch.openCL)]] {
        try require(
          esp_cl_launch_from(
            context, step.kernel, operands, launch.operandCount, rows, 1, step.items,
            UInt64(list.count), localSize))
      }
    }
    try require(esp_cl_finish(context))
    return try zip(operands, contents).map { buffer, bytes in
      var found = bytes
      try require(esp_cl_read(context, buffer, 0, UInt64(bytes.count), &found, 1))
      return found
    }
  }

  private func require(_ status: Int32) throws {
    if status != 0 { throw Unexpected(text: String(cString: esp_cl_status_name(status))) }
  }

  private func isGuarded(_ bytes: [UInt8], _ place: Place) -> Bool {
    (0...Self.rows).allSatisfy { row in
      let start = row == 0 ? 0 : place.start(row - 1) + place.byteCount
      let end = row < Self.rows ? place.start(row) : place.total
      return bytes[start..<end].allSatisfy { $0 == 0xFF }
    }
  }

  private func hasNaN(_ bytes: [UInt8], _ place: Place) -> Bool {
    bytes.withUnsafeBytes { bytes in
      (0..<Self.rows).contains { row in
        stride(from: 0, to: place.byteCount, by: 4).contains {
          bytes.load(fromByteOffset: place.start(row) + $0, as: Float.self).isNaN
        }
      }
    }
  }
}
