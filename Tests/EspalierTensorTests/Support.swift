import EspalierTensor
import Foundation
import OperationCases

/// What a case gave: results and gradients as host numbers, whatever their type.
struct Evaluation {
  var shapes: [Shape] = []
  var outputs: [[Double]] = []
  /// One for each differentiable input.
  var gradients: [[Double]] = []
}

extension Tensor {
  /// The elements as numbers of the host.
  func numbers() throws -> [Double] {
    switch dtype {
    case .float32: try scalars(as: Float.self).map(Double.init)
    case .float64: try scalars(as: Double.self)
    case .int32: try scalars(as: Int32.self).map(Double.init)
    case .bool: try scalars(as: Bool.self).map { $0 ? 1 : 0 }
    }
  }
}

extension OperationCase {
  /// Weights of the results in the loss: not all equal, none small.
  func upstream(_ result: Int, _ count: Int, seed: UInt64 = 0, integers: Bool = false) -> [Double] {
    var generator = CaseGenerator(name: "\(name)!\(result)", seed: seed)
    return (0..<count).map { _ in
      let sign = generator.below(2) == 0 ? 1.0 : -1.0
      return integers ? Double(generator.below(5) - 2) : sign * generator.uniform(0.5, 1)
    }
  }

  /// The results alone.
  func outputs(_ values: [[Double]], _ dtype: DType) throws -> Evaluation {
    let inputs = try tensors(values, dtype)
    let results = try step { function(inputs) }
    return try Evaluation(shapes: results.map(\.shape), outputs: results.map { try $0.numbers() })
  }

  /// Results, and the gradient of `Σ u · y` with `u` from `upstream`.
  ///
  /// - Parameter absolute: Take the absolute values of `u`.
  func evaluate(
    _ values: [[Double]], _ dtype: DType, seed: UInt64 = 0, integers: Bool = false,
    absolute: Bool = false
  ) throws -> Evaluation {
    guard !differentiable.isEmpty else { return try outputs(values, dtype) }
    let inputs = try tensors(values, dtype)
    let sources = differentiable.map { inputs[$0] }
    let (pack, gradients) = try valueAndGradient(wrt: sources) { () -> [Tensor] in
      let results = function(inputs)
      return [try loss(results, seed: seed, integers: integers, absolute: absolute)] + results
    }
    let results = pack.dropFirst()
    return try Evaluation(
      shapes: results.map(\.shape), outputs: results.map { try $0.numbers() },
      gradients: zip(gradients, sources).map { gradient, source in
        try gradient?.numbers() ?? [Double](repeating: 0, count: source.shape.count)
      })
  }

  /// `Σ u · y`, in float64 where a result is.
  func loss(
    _ results: [Tensor], seed: UInt64 = 0, integers: Bool = false, absolute: Bool = false
  ) throws -> Tensor {
    var terms: [Tensor] = []
    for (index, result) in results.enumerated() where result.dtype.isFloatingPoint {
      var u = upstream(index, result.shape.count, seed: seed, integers: integers)
      if absolute { u = u.map { Swift.abs($0) } }
      let weights =
        result.dtype == .float64
        ? try Tensor(u, shape: result.shape)
        : try Tensor(u.map { Float($0) }, shape: result.shape)
      terms.append((result * weights).sum().cast(to: results[0].dtype))
    }
    return addAll(terms)
  }

  /// Whole numbers for integer contents, else what `values` gives.
  func integerValues() -> [[Double]] {
    zip(inputs.indices, values()).map { index, values in
      guard inputs[index].fill.isFloatingPoint else { return values }
      var generator = CaseGenerator(name: "\(name)*\(index)", seed: 0)
      return values.map { _ in Double(generator.below(7) - 3) }
    }
  }
}

/// The first disagreement of two lists under a bound for each element, or nil.
func disagreement(
  _ found: [Double], _ expected: [Double], _ label: String, bound: (Int) -> Double
) -> String? {
  guard found.count == expected.count else {
    return "\(label): \(found.count) elements, expected \(expected.count)"
  }
  var worst: (ratio: Double, text: String)?
  for index in found.indices {
    let (x, y) = (found[index], expected[index])
    if x == y || (x.isNaN && y.isNaN) { continue }
    let limit = bound(index)
    let error = Swift.abs(x - y)
    if !(error <= limit), worst.map({ !(error / limit <= $0.ratio) }) ?? true {
      worst = (
        error / limit, "\(label)[\(index)] is \(x), expected \(y): off by \(error), bound \(limit)"
      )
    }
  }
  return worst?.text
}

/// FNV-1a over the bit patterns of float32 numbers.
struct BitHash {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ numbers: [Double]) {
    for number in numbers {
      value = (value ^ UInt64(Float(number).bitPattern)) &* 0x100_0000_01B3
    }
  }
}

/// A rough `float32` unit in the last place of a number.
func unitInLastPlace(_ x: Double) -> Double {
  x.isFinite ? Double(Float(x).ulp) : 0
}
