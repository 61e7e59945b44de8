import OperationCases

@testable import EspalierTensor

/// A small convolutional network with everything a training step needs: convolutions of all kinds,
/// batch norm with running statistics, pools, a mixture, dropout and a clipped optimizer.
struct SmallNetwork {
  let parameters: [Variable]
  let running: (mean: Variable, variance: Variable)
  private let update: (_ gradients: Gradients, _ step: Int) throws -> Void
  private var stepCount = 0

  /// How the parameters are updated.
  enum Rule: CaseIterable {
    case sgd, adam, rmsprop
  }

  /// Parameters on the current device, equal on all.
  init(_ rule: Rule = .sgd) throws {
    func random(_ name: String, _ shape: Shape, _ scale: Double) throws -> Variable {
      var generator = CaseGenerator(name: name, seed: 7)
      let values = (0..<shape.count).map { _ in Float(generator.uniform(-scale, scale)) }
      return try Variable(values, shape: shape, isConvolutionWeight: shape.rank == 4)
    }
    let ones = [Float](repeating: 1, count: 16)
    let zeros = [Float](repeating: 0, count: 16)
    parameters = [
      try random("stem", [16, 3, 3, 3], 0.3), try Variable(ones, shape: [16]),
      try Variable(zeros, shape: [16]), try random("depthwise", [16, 1, 5, 5], 0.3),
      try random("pointwise", [16, 16, 1, 1], 0.3),
      try Variable([0.5, 0.2, 0.3] as [Float], shape: [3]),
      try random("linear", [10, 16], 0.3), try Variable(Array(zeros.prefix(10)), shape: [10]),
    ]
    running = (try Variable(zeros, shape: [16]), try Variable(ones, shape: [16]))
    update = try SmallNetwork.update(parameters, rule)
  }

  func loss(_ x: Tensor, _ labels: Tensor) -> Tensor {
    let p = parameters.map(\.tensor)
    let stem = relu(
      batchNorm(conv2d(x, p[0], padding: 1), gamma: p[1], beta: p[2], running: running))
    let separable = conv2d(
      conv2d(stem, p[3], stride: 2, padding: 2, groups: 16), p[4])
    let mixed = weightedSum(
      [
        separable, maxPool2d(stem, kernelSize: 3, stride: 2, padding: 1),
        averagePool2d(stem, kernelSize: 3, stride: 2, padding: 1, countIncludePad: false),
      ], weights: softmax(p[5]))
    let features = globalAveragePool2d(dropout(batchNorm(mixed), 0.1)).reshaped(
      to: [x.shape[0], 16])
    return crossEntropy(linear(features, p[6], p[7]), labels, labelSmoothing: 0.1)
  }

  /// One step on a batch that depends on the step's number only; returns the loss.
  mutating func train() throws -> Tensor {
    stepCount += 1
    var generator = CaseGenerator(name: "batch", seed: UInt64(stepCount))
    let labels = (0..<8).map { _ in Int32(generator.below(10)) }
    let pixels = (0..<8 * 3 * 64).map { index in
      Float(generator.uniform(-1, 1)) + Float(labels[index / 192]) / 5
    }
    let (x, y) = (try Tensor(pixels, shape: [8, 3, 8, 8]), try Tensor(labels))
    let state = RandomState(seed: 11, step: UInt32(stepCount))
    var gradients: Gradients?
    let loss = try step(random: state) { () -> Tensor in
      let found = try valueAndGradient(wrt: parameters) { self.loss(x, y) }
      gradients = found.gradients
      return found.value
    }
    if let gradients { try update(gradients, stepCount) }
    return loss
  }

  private static func update(
    _ parameters: [Variable], _ rule: Rule
  ) throws -> (Gradients, Int) throws -> Void {
    switch rule {
    case .sgd:
      return try update(parameters) { step in
        SGDRule(
          rate: 0.05, momentum: 0.9, dampening: 0, decay: 1e-3, isNesterov: false,
          isFirst: step == 1)
      }
    case .adam:
      return try update(parameters) { step in
        func correction(_ beta: Double) -> Double {
          var power = 1.0
          for _ in 0..<step { power *= beta }
          return 1 - power
        }
        return AdamRule(
          rate: 0.01, betas: (0.9, 0.999), epsilon: 1e-8, decay: 1e-3,
          corrections: (Float(correction(0.9)), Float(correction(0.999).squareRoot())),
          isDecoupled: true)
      }
    case .rmsprop:
      return try update(parameters) { _ in
        RMSPropRule(rate: 0.01, alpha: 0.9, epsilon: 1e-6, decay: 1e-3, momentum: 0.9)
      }
    }
  }

  private static func update<R: UpdateRule>(
    _ parameters: [Variable], _ rule: @escaping (_ step: Int) -> R
  ) throws -> (Gradients, Int) throws -> Void {
    let update = try ParameterUpdate<R>(
      try parameters.map { parameter in
        UpdateRange(
          variable: parameter,
          states: try (0..<R.stateCount).map { _ in try Variable(zerosLike: parameter) })
      }, on: Device.current)
    return { gradients, step in try update.run(gradients, maximumNorm: 1) { _ in rule(step) } }
  }
}
