import EspalierTensor
import OperationCases
import Testing

/// Elements of an input that are moved one by one; directions cover the rest.
private let sampled = 12

@Suite("Gradients against central differences in float64")
struct GradientTests {
  static let cases = OperationCases.all.filter {
    // A subgradient is a convention: goldens hold those.
    !$0.differentiable.isEmpty && !$0.isAtKink
  }

  @Test("The gradient is the derivative along every direction", arguments: cases)
  func first(_ operation: OperationCase) throws {
    for seed in 0..<UInt64(5) {
      let values = operation.values(seed: seed)
      let exact = try operation.evaluate(values, .float64, seed: seed)
      let loss = { (values: [[Double]]) throws -> Double in
        let inputs = try operation.tensors(values, .float64)
        return try step { try operation.loss(operation.function(inputs), seed: seed) }.item()
      }
      for (slot, index) in operation.differentiable.enumerated() {
        let count = values[index].count
        var directions = [randomDirection("\(operation.name)/\(index)", seed, count)]
        if seed == 0 {
          var generator = CaseGenerator(name: "elements of \(operation.name)", seed: 0)
          let elements =
            count <= sampled ? Array(0..<count) : (0..<sampled).map { _ in generator.below(count) }
          directions += elements.map { element in
            var direction = [Double](repeating: 0, count: count)
            direction[element] = 1
            return direction
          }
        }
        for direction in directions {
          let slope = try centralDifference(values, index, direction, loss)
          let expected = zip(exact.gradients[slot], direction).reduce(0) { $0 + $1.0 * $1.1 }
          let scale = zip(exact.gradients[slot], direction).reduce(0) {
            $0 + Swift.abs($1.0 * $1.1)
          }
          #expect(
            Swift.abs(slope - expected) <= 1e-6 * scale + 1e-8,
            "input \(index): gradient \(expected), difference \(slope), seed \(seed)")
        }
      }
    }
  }

  @Test(
    "The gradient of the gradient is its derivative",
    arguments: cases.filter(\.isTwiceDifferentiable))
  func second(_ operation: OperationCase) throws {
    try expectHessian(of: operation) { try squaredLoss(operation, $0) }
  }

  @Test("A stopped gradient is a constant for the gradient of the gradient")
  func stopped() throws {
    let operation = OperationCase(
      "test/stop", [OperationInput([3, 4]), OperationInput([3, 4])], torch: nil, .relative
    ) { $0 }
    let values = operation.values()
    let inputs = try operation.tensors(values, .float64)
    // L = Σ stop(a) · a² · b: ∂L/∂a = 2·stop(a)·a·b, and of that only a is varied again.
    let found = try valueAndGradient(wrt: inputs) { () -> Tensor in
      let inner = try valueAndGradient(wrt: inputs) {
        (stopGradient(inputs[0]) * square(inputs[0]) * inputs[1]).sum()
      }
      return try #require(inner.gradients[0]).sum()
    }
    let (a, b) = (values[0], values[1])
    let da = try #require(found.gradients[0]).numbers()
    let db = try #require(found.gradients[1]).numbers()
    #expect(disagreement(da, zip(a, b).map { 2 * $0 * $1 }, "a") { _ in 1e-12 } == nil)
    #expect(disagreement(db, a.map { 2 * $0 * $0 }, "b") { _ in 1e-12 } == nil)
  }

  @Test("A small network's gradient of the gradient is its derivative")
  func network() throws {
    let operation = OperationCase(
      "test/network",
      [
        OperationInput([2, 3, 5, 5]), OperationInput([4, 3, 3, 3]),
        OperationInput([4], .uniform(0.5, 1.5)), OperationInput([4]), OperationInput([4, 1, 3, 3]),
        OperationInput([6, 4]), OperationInput([2, 6]),
      ], torch: nil, .relative
    ) { x in
      var h = conv2d(x[0], x[1], padding: 1)
      h = batchNorm(h, gamma: x[2], beta: x[3])
      // What is stopped may not depend on what is varied: a difference would see it move.
      let gate = stopGradient(x[0].mean(axes: [1], keepingDimensions: true))
      let branches = [conv2d(relu(h), x[4], padding: 1, groups: 4), h * gate, sigmoid(h)]
      h = weightedSum(branches, weights: softmax(x[3].slice(0..<3, axis: 0)))
      return [linear(globalAveragePool2d(h).flattened(), x[5]) * softmax(x[6])]
    }
    try expectHessian(of: operation, differentiates: [1, 2, 3, 4, 5, 6]) {
      try squaredLoss(operation, $0)
    }
  }
}

private func randomDirection(_ name: String, _ seed: UInt64, _ count: Int) -> [Double] {
  var generator = CaseGenerator(name: "direction \(name)", seed: seed)
  return (0..<count).map { _ in generator.uniform(-1, 1) }
}

private func moved(_ values: [[Double]], _ index: Int, _ direction: [Double], _ h: Double)
  -> [[Double]]
{
  var values = values
  for k in direction.indices { values[index][k] += h * direction[k] }
  return values
}

private func centralDifference(
  _ values: [[Double]], _ index: Int, _ direction: [Double], _ f: ([[Double]]) throws -> Double
) rethrows -> Double {
  let largest = zip(values[index], direction).reduce(1) {
    $1.1 == 0 ? $0 : max($0, Swift.abs($1.0))
  }
  let h = 1e-5 * largest
  return try (f(moved(values, index, direction, h)) - f(moved(values, index, direction, -h)))
    / (2 * h)
}

/// `Σ u · y²`: a linear operation has a second derivative too.
private func squaredLoss(_ operation: OperationCase, _ inputs: [Tensor]) throws -> Tensor {
  try operation.loss(operation.function(inputs).map { $0.dtype == .float64 ? square($0) : $0 })
}

/// Compares `H·v` by a gradient of a gradient with the central difference of the gradient along v.
private func expectHessian(
  of operation: OperationCase, differentiates: [Int]? = nil,
  _ loss: @escaping ([Tensor]) throws -> Tensor
) throws {
  let values = operation.values()
  let indices = differentiates ?? operation.differentiable
  let directions = indices.map {
    randomDirection("twice \(operation.name)/\($0)", 0, values[$0].count)
  }
  let inputs = try operation.tensors(values, .float64)
  let sources = indices.map { inputs[$0] }
  let vectors = try zip(directions, indices).map { try Tensor($0, shape: inputs[$1].shape) }
  let outer = try valueAndGradient(wrt: sources) { () -> Tensor in
    let inner = try valueAndGradient(wrt: sources) { try loss(inputs) }
    let terms = zip(inner.gradients, vectors).compactMap { gradient, v in
      gradient.map { ($0 * v).sum() }
    }
    return terms.isEmpty ? try Tensor([0.0]) : addAll(terms)
  }
  func gradient(_ h: Double) throws -> [[Double]] {
    var values = values
    for (direction, index) in zip(directions, indices) {
      values = moved(values, index, direction, h)
    }
    let inputs = try operation.tensors(values, .float64)
    let sources = indices.map { inputs[$0] }
    let found = try valueAndGradient(wrt: sources) { try loss(inputs) }
    return try zip(found.gradients, sources).map {
      try $0?.numbers() ?? [Double](repeating: 0, count: $1.shape.count)
    }
  }
  let h = 1e-5
  let (plus, minus) = (try gradient(h), try gradient(-h))
  for slot in indices.indices {
    let found =
      try outer.gradients[slot]?.numbers() ?? [Double](repeating: 0, count: plus[slot].count)
    let expected = zip(plus[slot], minus[slot]).map { ($0 - $1) / (2 * h) }
    let largest = expected.reduce(0) { max($0, Swift.abs($1)) }
    let message = disagreement(found, expected, "\(operation.name) input \(indices[slot])") { _ in
      1e-6 * largest + 1e-8
    }
    #expect(message == nil)
  }
}
