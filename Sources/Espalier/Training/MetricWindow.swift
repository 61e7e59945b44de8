import Foundation

/// Adds up step results between log lines and reads them together.
struct MetricWindow {
  /// What was added since the last call.
  struct Means {
    /// The mean loss.
    var loss: Double
    /// The last step's loss.
    var lastLoss: Double
    /// Means by name, each over the samples of the steps that have it.
    var metrics: [String: Double]
    /// Images a second.
    var imagesPerSecond: Double
  }

  /// Steps whose results were not read yet, with their samples: reading waits for them.
  private var results: [(result: StepResult, images: Int)] = []
  /// Of the steps' losses: each step counts once.
  private var loss = MetricSum()
  private var lastLoss = 0.0
  private var metrics: [String: MetricSum] = [:]
  private var images = 0
  private var start = monotonicNow()

  mutating func add(_ result: StepResult, images count: Int) throws(DeviceError) {
    results.append((result, count))
    images += count
    // So that a long interval holds no more than this.
    if results.count >= 256 { try readResults() }
  }

  /// Lets the pace of the next line count from here.
  mutating func startClock() { start = monotonicNow() }

  private mutating func readResults() throws(DeviceError) {
    for (result, images) in results {
      let step = try MetricSum(result.loss)
      lastLoss = step.mean
      loss += step
      for (name, value) in result.metrics {
        metrics[name, default: MetricSum()] += try MetricSum(value, samples: images)
      }
    }
    results.removeAll(keepingCapacity: true)
  }

  /// Reads and forgets what was added.
  mutating func read() throws(DeviceError) -> Means {
    try readResults()
    let now = monotonicNow()
    let means = Means(
      loss: loss.mean, lastLoss: lastLoss, metrics: metrics.mapValues(\.mean),
      imagesPerSecond: Double(images) / max(now - start, 1e-9))
    (loss, metrics, images, start) = (MetricSum(), [:], 0, now)
    return means
  }

  /// What was added since the last line, for a checkpoint: a name, the sum and its terms, each line.
  mutating func saved() throws(DeviceError) -> String {
    try readResults()
    let lines = [("", loss)] + metrics.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    return lines.map { "\($1.total) \($1.count) \($0)" }.joined(separator: "\n")
  }

  /// Goes on from what `saved` gave.
  mutating func restore(_ text: String) {
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3, let total = Double(parts[0]), let count = Int(parts[1]) else {
        continue
      }
      let sum = MetricSum(total: total, count: count)
      if parts[2].isEmpty { loss = sum } else { metrics[String(parts[2])] = sum }
    }
  }
}

/// Seconds since some moment, for differences.
func monotonicNow() -> Double { ProcessInfo.processInfo.systemUptime }
