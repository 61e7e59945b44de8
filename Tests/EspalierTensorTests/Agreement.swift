import EspalierTensor
import OperationCases

extension OperationCase {
  /// Where float32 leaves its bound around the float64 result, forward and backward.
  ///
  /// Bounds (ecosystem.md, N2): elementwise functions the OpenCL limit plus one unit; sums of
  /// products `√K · 2⁻²³ · Σ|a·b|`; normalisation, softmax and losses 2e-6 of the largest magnitude.
  /// Gradients of elementwise functions take several float32 operations: 2e-6 of the largest
  /// magnitude of gradient or upstream.
  func disagreements(_ found: Evaluation, _ exact: Evaluation, _ values: [[Double]]) throws
    -> [String]
  {
    var messages: [String] = []
    for (index, expected) in exact.outputs.enumerated() {
      let bound = try forwardBound(index, expected, values)
      messages += [disagreement(found.outputs[index], expected, "\(name) result", bound: bound)]
        .compactMap { $0 }
    }
    guard !exact.gradients.isEmpty else { return messages }
    let largestAbsolute = try sumGradients(values)
    for (index, expected) in exact.gradients.enumerated() {
      let largest = expected.reduce(0) { Swift.max($0, Swift.abs($1)) }
      let bound: (Int) -> Double
      switch tolerance {
      case .sum(let terms):
        let products = terms * exact.outputs.reduce(0) { $0 + $1.count }
        // Windows overlap unevenly: an element may meet more products than the mean.
        let mean = products / Swift.max(1, inputs[differentiable[index]].shape.count)
        let k = Swift.max(mean, Swift.min(terms, 9))
        let sums = largestAbsolute[index]
        bound = { Double(k).squareRoot() * 0x1p-23 * Swift.abs(sums[$0]) }
      case .relative: bound = { _ in 2e-6 * largest }
      case .exact, .elementwise: bound = { _ in 2e-6 * Swift.max(largest, 1) }
      }
      messages += [
        disagreement(
          found.gradients[index], expected, "\(name) gradient \(differentiable[index])",
          bound: bound)
      ].compactMap { $0 }
    }
    return messages
  }

  private func forwardBound(_ index: Int, _ expected: [Double], _ values: [[Double]]) throws
    -> (Int) -> Double
  {
    switch tolerance {
    // A golden has 13 digits; float32 numbers are 6e-8 apart.
    case .exact: return { 1e-12 * Swift.abs(expected[$0]) }
    case .elementwise(let ulps, let scale):
      return { ulps * unitInLastPlace(Swift.max(Swift.abs(expected[$0]), scale)) }
    case .relative:
      let largest = expected.reduce(0) { Swift.max($0, Swift.abs($1)) }
      return { _ in 2e-6 * largest }
    case .sum(let terms):
      let sums = try outputs(absolute(values), .float64).outputs[index]
      return { Double(terms).squareRoot() * 0x1p-23 * Swift.abs(sums[$0]) }
    }
  }

  /// `Σ|w·u|`: the gradients of a sum of products on absolute values.
  private func sumGradients(_ values: [[Double]]) throws -> [[Double]] {
    guard case .sum = tolerance, stem != "max_pool2d" else {
      return try evaluate(values, .float64, absolute: true).gradients
    }
    return try evaluate(absolute(values), .float64, absolute: true).gradients
  }

  private func absolute(_ values: [[Double]]) -> [[Double]] {
    // A maximum is no sum of products; its bound needs the windows' own maxima.
    stem == "max_pool2d" ? values : values.map { $0.map { Swift.abs($0) } }
  }

  /// The float32 results under a planning option against those of the reference.
  func disagreementsWithReference(_ option: Planning) throws -> [String] {
    let values = self.values()
    let found = try Planning.$option.withValue(option) { try evaluate(values, .float32) }
    let exact = try Planning.$option.withValue(.reference) { try evaluate(values, .float32) }
    return try disagreements(found, exact, values)
  }
}
