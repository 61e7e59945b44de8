import CKernels
import Espalier
import Foundation

/// What this machine can do, measured: percentages in the rows are of these.
struct Machine {
  /// FLOP/s of all threads on registers alone.
  let peak: Double
  /// Bytes read and written per second by a copy whose both sides together have 4 MiB.
  let smallCopy: Double
  /// The same for 256 MiB.
  let largeCopy: Double

  /// Measures, and writes the header.
  init(_ report: Report) {
    let single = esp_measure_peak(1)
    peak = esp_measure_peak(0)
    smallCopy = Machine.copyRate(bytes: 4 << 20)
    largeCopy = Machine.copyRate(bytes: 256 << 20)
    let forkJoin = Machine.forkJoinSeconds()
    let isa = String(cString: esp_instruction_set())
    let cpu = DeviceList.all().first?.name ?? "CPU"
    report.row(
      [
        "machine": .string(cpu), "isa": .string(isa), "threads": .integer(Int(esp_threads())),
        "date": .string(ISO8601DateFormatter().string(from: Date())),
        "peak_gflops": .measured(peak * 1e-9), "peak_gflops_one_thread": .measured(single * 1e-9),
        "copy_gbytes_per_s_4mib": .measured(smallCopy * 1e-9),
        "copy_gbytes_per_s_256mib": .measured(largeCopy * 1e-9),
        "fork_join_us": .measured(forkJoin * 1e6),
      ],
      """
      \(cpu), \(isa), \(esp_threads()) threads: \((peak * 1e-9).text(0)) GFLOP/s measured \
      (\((single * 1e-9).text(0)) on one), copies \((smallCopy * 1e-9).text(0)) GB/s at 4 MiB, \
      \((largeCopy * 1e-9).text(0)) at 256 MiB, fork and join \((forkJoin * 1e6).text(2)) us
      """)
  }

  private struct Copy {
    var from: UnsafeMutableRawPointer
    var to: UnsafeMutableRawPointer
    var part: Int
  }

  /// The best of several copies, each thread a consecutive part.
  private static func copyRate(bytes: Int) -> Double {
    let (half, threads) = (bytes / 2, Int(esp_threads()))
    let from = UnsafeMutableRawPointer.allocate(byteCount: half, alignment: 64)
    let to = UnsafeMutableRawPointer.allocate(byteCount: half, alignment: 64)
    defer {
      from.deallocate()
      to.deallocate()
    }
    memset(from, 1, half)
    memset(to, 1, half)
    var copy = Copy(from: from, to: to, part: half / threads)
    var best = Double.infinity
    for _ in 0..<(bytes > 64 << 20 ? 10 : 200) {
      let time = Timing.seconds {
        esp_parallel(
          Int32(threads),
          { context, index in
            guard let copy = context?.assumingMemoryBound(to: Copy.self).pointee else { return }
            let offset = Int(index) * copy.part
            memcpy(copy.to + offset, copy.from + offset, copy.part)
          }, &copy)
      }
      best = min(best, time)
    }
    return 2 * Double(copy.part * threads) / best
  }

  /// What a region takes beyond the five microseconds that each thread is busy in it.
  private static func forkJoinSeconds() -> Double {
    var samples = Samples()
    for _ in 0..<1000 {
      samples.add(
        Timing.seconds {
          esp_parallel(
            esp_threads(),
            { _, _ in
              let end = Timing.now() + 5e-6
              while Timing.now() < end {}
            }, nil)
        } - 5e-6)
    }
    return samples.median
  }
}

/// Memory of the process.
enum ProcessMemory {
  /// The largest resident size so far, as Python's `resource` module reports it for the peer.
  static var peakBytes: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Int(usage.ru_maxrss) * 1024
  }
}
