import Foundation

/// Adds up step results between log lines and reads them together.
struct MetricWindow {
  /// What was added since the last call.
  struct Means {
    /// The mean loss.
    var loss: Double
    /// The last step's loss.
    var lastLoss: Double
    /// Means by name, each over the steps that have it.
    var metrics: [String: Double]
    /// Images a second.
    var imagesPerSecond: Double
  }

  private var results: [StepResult] = []
  private var images = 0
  private var start = monotonicNow()

  mutating func add(_ result: StepResult, images count: Int) {
    results.append(result)
    images += count
  }

  /// Reads and forgets what was added.
  mutating func read() throws(DeviceError) -> Means {
    var loss = 0.0
    var last = 0.0
    var sums: [String: (total: Double, count: Int)] = [:]
    for result in results {
      last = try result.loss.item()
      loss += last
      for (name, value) in result.metrics {
        sums[name, default: (0, 0)].total += try value.item()
        sums[name]?.count += 1
      }
    }
    let count = Double(max(results.count, 1))
    let now = monotonicNow()
    let rate = Double(images) / max(now - start, 1e-9)
    results = []
    images = 0
    start = now
    return Means(
      loss: loss / count, lastLoss: last, metrics: sums.mapValues { $0.total / Double($0.count) },
      imagesPerSecond: rate)
  }
}

/// Seconds since some moment, for differences.
func monotonicNow() -> Double { ProcessInfo.processInfo.systemUptime }
