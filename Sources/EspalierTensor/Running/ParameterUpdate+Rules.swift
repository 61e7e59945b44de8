import CKernels

extension ParameterUpdate {
  /// How parameters move along their gradients.
  package enum Rule {
    /// State: momentum.
    case sgd
    /// State: first and second moment.
    case adam
    /// State: mean square, mean (if centered), momentum.
    case rmsprop

    /// State variables of a parameter.
    var stateCount: Int {
      switch self {
      case .sgd: 1
      case .adam: 2
      case .rmsprop: 3
      }
    }

    /// Operands: scale, steps, parameter, gradient, states.
    var call: LaunchTable.Call {
      let (kernel, rowBytes) =
        switch self {
        case .sgd: (Kernel.sgd, MemoryLayout<esp_sgd_row>.stride)
        case .adam: (Kernel.adam, MemoryLayout<esp_adam_row>.stride)
        case .rmsprop: (Kernel.rmsprop, MemoryLayout<esp_rmsprop_row>.stride)
        }
      return LaunchTable.Call(
        kernel: kernel,
        operands: [.float32, .int32] + [DType](repeating: .float32, count: 2 + stateCount),
        rowBytes: rowBytes, items: elementwiseItems(Int(ESP_UPDATE_PIECE)))
    }
  }

  /// What a rule takes for one range.
  package enum Numbers {
    case sgd(SGD)
    case adam(Adam)
    case rmsprop(RMSProp)
  }

  /// See `esp_sgd_row`.
  package struct SGD {
    let rate, momentum, dampening, decay: Float
    let isNesterov, isFirst: Bool

    package init(
      rate: Float, momentum: Float, dampening: Float, decay: Float, isNesterov: Bool, isFirst: Bool
    ) {
      (self.rate, self.momentum, self.dampening, self.decay) = (rate, momentum, dampening, decay)
      (self.isNesterov, self.isFirst) = (isNesterov, isFirst)
    }

    func row(_ operands: Operands, _ state: (Int) -> esp_operand, _ count: Int32) -> esp_sgd_row {
      var row = esp_sgd_row()
      row.operand = (operands.0, operands.1, operands.2, operands.3, state(0))
      row.scalar = (rate, momentum, dampening, decay)
      (row.count, row.nesterov, row.first) = (count, isNesterov ? 1 : 0, isFirst ? 1 : 0)
      return row
    }
  }

  /// See `esp_adam_row`.
  package struct Adam {
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

    func row(_ operands: Operands, _ state: (Int) -> esp_operand, _ count: Int32) -> esp_adam_row {
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

  /// See `esp_rmsprop_row`.
  package struct RMSProp {
    let rate, epsilon, decay, momentum: Float
    let alpha: Double

    package init(rate: Float, alpha: Double, epsilon: Float, decay: Float, momentum: Float) {
      (self.rate, self.epsilon, self.decay) = (rate, epsilon, decay)
      (self.momentum, self.alpha) = (momentum, alpha)
    }

    func row(_ operands: Operands, _ state: (Int) -> esp_operand, _ count: Int32)
      -> esp_rmsprop_row
    {
      var row = esp_rmsprop_row()
      row.operand = (operands.0, operands.1, operands.2, operands.3, state(0), state(1), state(2))
      row.scalar = (rate, Float(alpha), epsilon, decay, momentum, Float(1 - alpha))
      row.count = count
      return row
    }
  }

  /// Scale, steps, parameter and gradient: what the rows of all rules begin with.
  typealias Operands = (esp_operand, esp_operand, esp_operand, esp_operand)

  /// Operands: gradient, partials.
  static let norm = LaunchTable.Call(
    kernel: .squaredNorm, operands: [.float32, .float64],
    rowBytes: MemoryLayout<esp_squared_norm_row>.stride, items: 1)
  /// Operands: partials, scale, flag.
  static let clip = LaunchTable.Call(
    kernel: .clipScale, operands: [.float64, .float32, .float32],
    rowBytes: MemoryLayout<esp_clip_scale_row>.stride, items: 1)
}

extension Kernel {
  static let squaredNorm = Kernel(
    "squared_norm", esp_squared_norm_f32, esp_squared_norm_f64)
  static let clipScale = Kernel("clip_scale", esp_clip_scale_f32, esp_clip_scale_f64)
  static let sgd = Kernel("sgd", esp_sgd_f32, esp_sgd_f64)
  static let adam = Kernel("adam", esp_adam_f32, esp_adam_f64)
  static let rmsprop = Kernel("rmsprop", esp_rmsprop_f32, esp_rmsprop_f64)
}
