import CKernels

/// Random numbers from (seed, step, draw): the same whenever the same step is recorded again.
struct RandomDraw: Operation {
  enum Kind: UInt32, Sendable {
    case uniform, normal, gumbel
    /// 0, or 1 / (1 − p) with probability 1 − p.
    case keep
  }

  static let stem = "random"
  let kind: Kind
  let type: TensorType

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [type] }

  func emit(into builder: inout LaunchBuilder) {
    var row = esp_random_row()
    row.kind = Int32(kind.rawValue)
    row.count = Int32(type.shape.count)
    builder.emit(
      .random, type.dtype, [builder.result()], scalars: builder.scalars, row: row,
      openCL: .items(elementwiseItems(type.shape.count)))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] { [] }

  static func draw(_ kind: Kind, _ shape: Shape, _ dtype: DType, p: Float = 0) -> Tensor {
    let recorder = Recorder.current
    precondition(
      recorder.kind != .planning || recorder.captured != nil,
      "random numbers cannot be drawn in a gradient rule")
    let draw = recorder.randomCount
    recorder.randomCount += 1
    return record(
      RandomDraw(kind: kind, type: TensorType(shape, dtype)),
      scalars: [
        .bits(UInt32(truncatingIfNeeded: recorder.randomSeed)),
        .bits(UInt32(truncatingIfNeeded: recorder.randomSeed >> 32)),
        .bits(recorder.randomStep), .bits(draw), Scalar(p),
      ])
  }
}

extension Kernel {
  static let random = Kernel("random", esp_random_f32, esp_random_f64)
}

extension Tensor {
  /// Uniform numbers in [0, 1) from the step's random state.
  public static func uniform(_ shape: Shape, dtype: DType = .float32) -> Tensor {
    RandomDraw.draw(.uniform, shape, dtype)
  }
  /// Standard normal numbers from the step's random state.
  public static func normal(_ shape: Shape, dtype: DType = .float32) -> Tensor {
    RandomDraw.draw(.normal, shape, dtype)
  }
  /// Standard Gumbel numbers, `−log(−log U)`, from the step's random state.
  public static func gumbel(_ shape: Shape, dtype: DType = .float32) -> Tensor {
    RandomDraw.draw(.gumbel, shape, dtype)
  }
}

/// What one draw of a dropout covers.
public enum DropoutUnit: Sendable {
  /// Each element on its own.
  case element
  /// Whole channels of a sample: `[N, C, 1, 1]`.
  case channel
  /// Whole samples: drop path.
  case sample
}

/// Zeroes units with probability `p` and divides the rest by `1 − p`, while training.
///
/// - Parameter p: In [0, 1]; recorded also at 0, so that a schedule needs no new plan.
public func dropout(_ x: Tensor, _ p: Float, unit: DropoutUnit = .element) -> Tensor {
  guard Mode.current.isTraining else { return x }
  let shape: Shape
  switch unit {
  case .element: shape = x.shape
  case .channel:
    precondition(x.rank >= 2, "dropout of channels: \(x.shape)")
    shape = Shape([x.shape[0], x.shape[1]] + [Int](repeating: 1, count: x.rank - 2))
  case .sample: shape = Shape([x.shape[0]] + [Int](repeating: 1, count: x.rank - 1))
  }
  let recorder = Recorder.current
  let outer = recorder.device
  recorder.device = x.device
  defer { recorder.device = outer }
  return x * RandomDraw.draw(.keep, shape, x.dtype, p: p)
}
