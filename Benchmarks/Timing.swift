import Foundation

/// Repeated measurements of one thing, in seconds.
struct Samples {
  private(set) var values: [Double] = []

  mutating func add(_ seconds: Double) { values.append(seconds) }

  /// The value below which a share of the samples lies, between neighbours linearly.
  func quantile(_ share: Double) -> Double {
    let sorted = values.sorted()
    guard let last = sorted.last else { return .nan }
    let place = share * Double(sorted.count - 1)
    let index = Int(place)
    guard index + 1 < sorted.count else { return last }
    return sorted[index] + (sorted[index + 1] - sorted[index]) * (place - Double(index))
  }

  var median: Double { quantile(0.5) }
  /// Of steps that are not alike, where the median would leave out the rare ones.
  var mean: Double { values.reduce(0, +) / Double(values.count) }
  /// The distance of the quartiles.
  var iqr: Double { quantile(0.75) - quantile(0.25) }
  var minimum: Double { values.min() ?? .nan }

  /// `~` where the quartiles are more than a tenth of the median apart, `?` where a comparison
  /// would mean nothing.
  var mark: String { iqr > 0.25 * median ? "?" : iqr > 0.1 * median ? "~" : " " }
}

/// How things are timed.
enum Timing {
  static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// Seconds that `body` takes.
  static func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = now()
    try body()
    return now() - start
  }

  /// Times rivals beside each other: A B C, A B C, A B C, each for a third of its time.
  ///
  /// A sample is as many calls as make a millisecond; a block begins with a pause, so that nobody's
  /// idle threads still spin, and with calls that are not counted. At least 21 samples and half a
  /// second each.
  static func compare(_ rivals: [() throws -> Void]) throws -> [Samples] {
    var samples = [Samples](repeating: Samples(), count: rivals.count)
    let repeats = try rivals.map { try repeatCount($0) }
    for _ in 0..<3 {
      for (index, body) in rivals.enumerated() {
        usleep(20_000)
        try warmUp(body, repeats[index])
        let end = now() + 0.17
        var count = 0
        while count < 7 || (now() < end && count < 1000) {
          samples[index].add(try sample(body, repeats[index]))
          count += 1
        }
      }
    }
    return samples
  }

  private static func sample(_ body: () throws -> Void, _ repeats: Int) rethrows -> Double {
    try seconds { for _ in 0..<repeats { try body() } } / Double(repeats)
  }

  /// How many calls make a millisecond.
  private static func repeatCount(_ body: () throws -> Void) rethrows -> Int {
    try body()
    var repeats = 1
    while repeats < 1 << 20 {
      let time = try sample(body, repeats) * Double(repeats)
      if time >= 1e-3 { break }
      repeats = max(repeats + 1, min(repeats * 10, Int(1.2e-3 / max(time, 1e-7) * Double(repeats))))
    }
    return repeats
  }

  /// At least five samples, until three medians of five agree within 3 %, for 0.2 s at most.
  private static func warmUp(_ body: () throws -> Void, _ repeats: Int) rethrows {
    var medians: [Double] = []
    let end = now() + 0.2
    repeat {
      var samples = Samples()
      for _ in 0..<5 { samples.add(try sample(body, repeats)) }
      medians.append(samples.median)
      if medians.count >= 3 {
        let last = medians.suffix(3)
        if let low = last.min(), let high = last.max(), high <= 1.03 * low { return }
      }
    } while now() < end
  }
}
