import CKernels
import Glibc

/// The CPU: own kernels, run to their end before a flush returns.
final class CPUBackend: Backend, @unchecked Sendable {
  static let shared = CPUBackend()

  let device = Device.cpu
  let pool = MemoryPool()

  func allocate(_ byteCount: Int) throws(DeviceError) -> UnsafeMutableRawPointer {
    var pointer: UnsafeMutableRawPointer?
    guard posix_memalign(&pointer, 64, byteCount) == 0, let pointer else {
      throw .outOfMemory(wanted: byteCount, free: 0, largest: "unknown")
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
    withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: 32) { bases in
      spaces.withUnsafeBufferPointer { spaces in
        program.locations.withUnsafeBufferPointer { locations in
          for launch in program.launches {
            var index = Int(launch.firstOperand)
            for k in 0..<Int(launch.operandCount) {
              let space = spaces[Int(locations[index].space)]
              bases[k] = space.memory + space.byteOffset
              index += 1
            }
            launch.function(bases.baseAddress, program.rows + Int(launch.rowOffset), launch.rowCount)
          }
        }
      }
    }
  }
}
