import Foundation

/// A distribution over a few candidates, on the host.
struct Categorical {
  /// The probability of each candidate.
  let probabilities: [Double]

  /// The softmax of some of the logits; the other candidates are impossible.
  init(logits: [Double], among: [Int]? = nil) {
    let among = among ?? Array(logits.indices)
    let largest = among.map { logits[$0] }.max() ?? 0
    var weights = [Double](repeating: 0, count: logits.count)
    for index in among { weights[index] = exp(logits[index] - largest) }
    let sum = weights.reduce(0, +)
    probabilities = weights.map { $0 / sum }
  }

  /// One candidate.
  func draw(_ generator: inout SeededGenerator) -> Int {
    var left = Double.random(in: 0..<1, using: &generator)
    for (index, share) in probabilities.enumerated() {
      left -= share
      if left < 0 { return index }
    }
    // Rounding may leave a little over.
    return probabilities.lastIndex { $0 > 0 } ?? 0
  }
}
