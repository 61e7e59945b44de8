import Espalier

/// One line of the operation table.
struct OperationRow {
  var op: String
  /// Who computes it, and how: `own`, `own, cold`, `oneDNN 2.6.3`, `engine`, ….
  var variant: String
  var device = "cpu"
  var shape: String
  /// Floating-point operations that count.
  var flops: Double
  /// Those that frameworks count, padding included.
  var nominalFlops: Double?
  /// Bytes that must be read and written at least.
  var bytes: Double
  /// Against float64.
  var error: Double
  /// The largest error that passes.
  var bound = 1e-5
  /// How many operations one timed call holds.
  var operationsPerCall = 1.0
  /// Bytes per second of a copy that the row's bytes are a percentage of, on the CPU.
  var copyRate: Double?

  /// Whether the results are right: NaN is not.
  var isRight: Bool { error <= bound }

  /// Writes the row; without numbers where the check failed.
  func write(_ report: Report, _ samples: Samples?, peak: Double?) {
    var object: JSONObject = [
      "op": .string(op), "variant": .string(variant), "device": .string(device),
      "shape": .string(shape),
    ]
    let title = "\(op.padded(30)) \(shape.padded(28)) \(variant.padded(16)) \(device.padded(8))"
    guard isRight, let samples else {
      object["check"] = .string("BAD")
      report.row(object, "\(title)        BAD (\(error) of \(bound))")
      return
    }
    let median = samples.median / operationsPerCall
    let percent = device == "cpu" ? peak.map { 100 * flops / median / $0 } : nil
    let copyPercent = copyRate.map { 100 * bytes / median / $0 }
    object["median_s"] = .measured(median)
    object["iqr_s"] = .measured(samples.iqr / operationsPerCall)
    object["min_s"] = .measured(samples.minimum / operationsPerCall)
    object["samples"] = .integer(samples.values.count)
    object["gflops"] = .measured(flops / median * 1e-9)
    object["gflops_nominal"] = .measured((nominalFlops ?? flops) / median * 1e-9)
    object["gbytes_per_s"] = .measured(bytes / median * 1e-9)
    object["percent_of_peak"] = .measured(percent)
    object["percent_of_copy"] = .measured(copyPercent)
    object["max_rel_error"] = .measured(error)
    let shares =
      copyPercent.map { "\($0.text(0, width: 5)) % copy" }
      ?? percent.map { "\($0.text(0, width: 5)) % peak" } ?? ""
    report.row(
      object,
      "\(title) \((median * 1e6).text(1, width: 10)) us\(samples.mark)"
        + "\((flops / median * 1e-9).text(1, width: 8)) GFLOP/s"
        + "\((bytes / median * 1e-9).text(1, width: 8)) GB/s \(shares)")
  }
}
