import CKernels
import Glibc

/// The CPU: own kernels, run to their end before a flush returns.
final class CPUBackend: Backend, @unchecked Sendable {
  static let shared = CPUBackend()

  let device = Device.cpu
  let pool = MemoryPool()
  static let planningAbilities = PlanningAbilities(
    fusions: [
      .fuseCombineSums, .fuseReluDepthwisePointwise, .fuseCombine, .sumSourceGradients,
      .fuseSourceSums,
    ], rowsMixVariants: true, viewsChannels: true, hasThreadScratch: true)
  let largestBuffer = Int.max

  func allocate(_ byteCount: Int) throws(DeviceError) -> UnsafeMutableRawPointer {
    // The system promises more than it has and ends whoever takes it at its word.
    if byteCount >= 1 << 26, byteCount > availableMemory() { pool.drain(self) }
    let available = byteCount < 1 << 26 ? Int.max : availableMemory()
    var pointer: UnsafeMutableRawPointer?
    guard byteCount <= available, posix_memalign(&pointer, 64, byteCount) == 0, let pointer else {
      throw .outOfMemory(wanted: byteCount, free: availableMemory(), largest: "")
    }
    return pointer
  }

  func free(_ memory: UnsafeMutableRawPointer, _ byteCount: Int) { Glibc.free(memory) }

  func write(_ source: UnsafeRawBufferPointer, to slice: Slice) throws(DeviceError) {
    guard let base = source.baseAddress else { return }
    (slice.buffer.memory + slice.byteOffset).copyMemory(from: base, byteCount: source.count)
  }

  func read(_ slice: Slice, into target: UnsafeMutableRawBufferPointer) throws(DeviceError) {
    guard let base = target.baseAddress else { return }
    base.copyMemory(from: slice.buffer.memory + slice.byteOffset, byteCount: target.count)
  }

  func finish() throws(DeviceError) {}

  func run(_ program: Program, _ spaces: [ResolvedSpace]) throws(DeviceError) {
    withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: 64) { bases in
      spaces.withUnsafeBufferPointer { spaces in
        program.locations.withUnsafeBufferPointer { locations in
          for launch in program.launches {
            let rows = program.rows + Int(launch.rowOffset)
            if launch.hasRowLocations {
              runRows(launch, rows, spaces, locations, bases)
              continue
            }
            for k in 0..<Int(launch.operandCount) {
              let space = spaces[Int(locations[Int(launch.firstOperand) + k].space)]
              bases[k] = space.memory + space.byteOffset
            }
            launch.function(bases.baseAddress, rows, launch.rowCount)
          }
        }
      }
    }
  }

  /// Runs many rows in one call where each operand's rows share their memory, else one by one.
  private func runRows(
    _ launch: Launch, _ rows: UnsafeMutableRawPointer,
    _ spaces: UnsafeBufferPointer<ResolvedSpace>, _ locations: UnsafeBufferPointer<Location>,
    _ bases: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  ) {
    let (count, operands) = (Int(launch.rowCount), Int(launch.operandCount))
    for k in 0..<operands { bases[k] = nil }
    var shares = true
    var index = Int(launch.firstOperand)
    for row in 0..<count where shares {
      let fields = rows + row * Int(launch.rowBytes)
      for k in 0..<operands {
        defer { index += 1 }
        // Absent operands have no place.
        if fields.load(fromByteOffset: 12 * k + 8, as: UInt32.self) & UInt32(ESP_ABSENT) != 0 {
          continue
        }
        let location = locations[index]
        let space = spaces[Int(location.space)]
        if bases[k] == nil { bases[k] = space.memory }
        let offset = (space.byteOffset + location.byteOffset) / location.dtype.byteCount
        if bases[k] != space.memory || offset > Int(UInt32.max) {
          shares = false
          break
        }
        fields.storeBytes(of: UInt32(offset), toByteOffset: 12 * k, as: UInt32.self)
      }
    }
    if shares {
      for k in 0..<operands where bases[k] == nil { bases[k] = rows }
      launch.function(bases.baseAddress, rows, launch.rowCount)
      return
    }
    index = Int(launch.firstOperand)
    for row in 0..<count {
      let fields = rows + row * Int(launch.rowBytes)
      for k in 0..<operands {
        let location = locations[index]
        let space = spaces[Int(location.space)]
        bases[k] = space.memory + space.byteOffset + location.byteOffset
        fields.storeBytes(of: UInt32(0), toByteOffset: 12 * k, as: UInt32.self)
        index += 1
      }
      launch.function(bases.baseAddress, fields, 1)
    }
  }
}
