import CKernels

/// How parameters move along their gradients, with the numbers that the update of one range takes.
package protocol UpdateRule {
  /// A row of the kernel.
  associatedtype Row
  /// Its operands: scale, steps, parameter, gradient, states.
  static var kernel: Kernel { get }
  /// State variables of a parameter.
  static var stateCount: Int { get }

  /// The row of one piece of a range, of `count` elements.
  func row(
    _ operands: UpdateOperands, _ state: (Int) -> esp_operand, _ count: Int32
  ) -> Row
}

/// Scale, steps, parameter and gradient: what the rows of all rules begin with.
package typealias UpdateOperands = (esp_operand, esp_operand, esp_operand, esp_operand)

extension UpdateRule {
  static var call: LaunchTable.Call {
    LaunchTable.Call(
      kernel: kernel,
      operands: [.float32, .int32] + [DType](repeating: .float32, count: 2 + stateCount),
      rowBytes: MemoryLayout<Row>.stride, items: elementwiseItems(Int(ESP_UPDATE_PIECE)))
  }
}

/// State: momentum.
///
/// See `esp_sgd_row`.
package struct SGDRule: UpdateRule {
  package static let kernel = Kernel("sgd", esp_sgd_f32, esp_sgd_f64)
  package static let stateCount = 1

  let rate, momentum, dampening, decay: Float
  let isNesterov, isFirst: Bool

  package init(
    rate: Float, momentum: Float, dampening: Float, decay: Float, isNesterov: Bool, isFirst: Bool
  ) {
    (self.rate, self.momentum, self.dampening, self.decay) = (rate, momentum, dampening, decay)
    (self.isNesterov, self.isFirst) = (isNesterov, isFirst)
  }

  package func row(
    _ operands: UpdateOperands, _ state: (Int) -> esp_operand, _ count: Int32
  ) -> esp_sgd_row {
    var row = esp_sgd_row()
    row.operand = (operands.0, operands.1, operands.2, operands.3, state(0))
    row.scalar = (rate, momentum, dampening, decay)
    (row.count, row.nesterov, row.first) = (count, isNesterov ? 1 : 0, isFirst ? 1 : 0)
    return row
  }
}

/// State: first and second moment.
///
/// See `esp_adam_row`.
package struct AdamRule: UpdateRule {
  package static let kernel = Kernel("adam", esp_adam_f32, esp_adam_f64)
  package static let stateCount = 2

  let rate, epsilon, decay: Float
  let betas: (Double, Double)
  let corrections: (Float, Float)
  let isDecoupled: Bool

  /// - Parameter corrections: 1 − β1^t and √(1 − β2^t).
  package init(
    rate: Float, betas: (Double, Double), epsilon: Float, decay: Float,
    corrections: (Float, Float), isDecoupled: Bool
  ) {
    (self.rate, self.epsilon, self.decay) = (rate, epsilon, decay)
    (self.betas, self.corrections, self.isDecoupled) = (betas, corrections, isDecoupled)
  }

  package func row(
    _ operands: UpdateOperands, _ state: (Int) -> esp_operand, _ count: Int32
  ) -> esp_adam_row {
    var row = esp_adam_row()
    row.operand = (operands.0, operands.1, operands.2, operands.3, state(0), state(1))
    row.scalar = (
      rate, Float(betas.0), Float(betas.1), epsilon, decay, corrections.0, corrections.1,
      Float(1 - betas.0), Float(1 - betas.1)
    )
    (row.count, row.decoupled) = (count, isDecoupled ? 1 : 0)
    return row
  }
}

/// State: mean square, mean (if centered), momentum.
///
/// See `esp_rmsprop_row`.
package struct RMSPropRule: UpdateRule {
  package static let kernel = Kernel("rmsprop", esp_rmsprop_f32, esp_rmsprop_f64)
  package static let stateCount = 3

  let rate, epsilon, decay, momentum: Float
  let alpha: Double

  package init(rate: Float, alpha: Double, epsilon: Float, decay: Float, momentum: Float) {
    (self.rate, self.epsilon, self.decay) = (rate, epsilon, decay)
    (self.momentum, self.alpha) = (momentum, alpha)
  }

  package func row(
    _ operands: UpdateOperands, _ state: (Int) -> esp_operand, _ count: Int32
  ) -> esp_rmsprop_row {
    var row = esp_rmsprop_row()
    row.operand = (operands.0, operands.1, operands.2, operands.3, state(0), state(1), state(2))
    row.scalar = (rate, Float(alpha), epsilon, decay, momentum, Float(1 - alpha))
    row.count = count
    return row
  }
}
