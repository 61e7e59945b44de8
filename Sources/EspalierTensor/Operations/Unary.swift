import CKernels

/// An elementwise function of one tensor.
struct Unary: Operation {
  enum Kind: UInt32, Sendable {
    case negate, abs, exp, log, sqrt, rsqrt, reciprocal, square, sign, erf
    case relu, relu6, leakyRelu, sigmoid, tanh, hardSwish, gelu, silu, affine, clamp, pow
  }

  static let stem = "unary"
  /// Neighbours do it on load, and its gradient on store, for nothing.
  static let mergesBeforeGradients = false
  static let readsPixelStride = true
  static let writesPixelStride = true
  let kind: Kind

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    precondition(
      operands[0].dtype.isFloatingPoint, "\(kind): operand is \(operands[0]), needs floats")
    return [operands[0]]
  }
  func requiredLayout(at index: Int) -> LayoutRequirement { .same }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.resultTypes[0]
    var row = esp_unary_row()
    row.kind = Int32(kind.rawValue)
    row.channels = Int32(max(type.runLength, 1))
    row.pixels = Int32(type.shape.count / max(type.runLength, 1))
    let scalars =
      builder.scalars + [Scalar](repeating: .bits(0), count: 2 - builder.scalars.count)
    builder.emit(
      .unary, type.dtype, [builder.operand(0), builder.result()], scalars: scalars, row: row,
      openCL: .items(elementwiseItems(type.shape.count)))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let x = context.operands[0]
    let y = context.results[0]
    let dy = context.dy
    func scalar(_ index: Int) -> Scalar { context.scalars[index] }
    switch kind {
    case .negate: return [-dy]
    case .abs: return [dy * sign(x)]
    case .exp: return [dy * y]
    case .log: return [dy / x]
    case .sqrt: return [dy / y * 0.5]
    case .rsqrt: return [dy * y / x * -0.5]
    case .reciprocal: return [-(dy * square(y))]
    case .square: return [dy * x * 2]
    case .sign: return [nil]
    case .erf: return [dy * exp(-square(x)) * 1.128_379_167_095_512_6]
    // The result is positive where the operand is, and often kept anyway.
    case .relu: return [record(Binary(kind: .reluMask), dy, y)]
    case .relu6: return [record(Binary(kind: .relu6Mask), dy, y)]
    case .leakyRelu: return [which(x .> 0, dy, dy * scalar(0))]
    case .sigmoid: return [dy * y * (1 - y)]
    case .tanh: return [dy * (1 - square(y))]
    case .hardSwish:
      let middle = dy * (x * (1.0 / 3) + 0.5)
      return [which(x .> -3, which(x .< 3, middle, dy), dy.zerosLike())]
    case .gelu:
      let phi = exp(square(x) * -0.5) * 0.398_942_280_401_432_7
      let area = (erf(x * 0.707_106_781_186_547_5) + 1) * 0.5
      return [dy * (area + x * phi)]
    case .silu:
      let s = sigmoid(x)
      return [dy * (s + x * s * (1 - s))]
    case .affine: return [dy * scalar(0)]
    case .clamp:
      let zero = dy.zerosLike()
      return [which(x .>= scalar(0), which(x .<= scalar(1), dy, zero), zero)]
    case .pow: return [dy * pow(x, scalar(0) - Scalar(1.0)) * scalar(0)]
    }
  }
}

extension Kernel {
  static let unary = Kernel("unary", esp_unary_f32, esp_unary_f64)
}

/// `|x|`; the gradient at 0 is 0.
public func abs(_ x: Tensor) -> Tensor { record(Unary(kind: .abs), x) }
/// `eˣ`.
public func exp(_ x: Tensor) -> Tensor { record(Unary(kind: .exp), x) }
/// The natural logarithm.
public func log(_ x: Tensor) -> Tensor { record(Unary(kind: .log), x) }
/// `√x`.
public func sqrt(_ x: Tensor) -> Tensor { record(Unary(kind: .sqrt), x) }
/// `1 / √x`.
public func rsqrt(_ x: Tensor) -> Tensor { record(Unary(kind: .rsqrt), x) }
/// `1 / x`.
public func reciprocal(_ x: Tensor) -> Tensor { record(Unary(kind: .reciprocal), x) }
/// `x²`.
public func square(_ x: Tensor) -> Tensor { record(Unary(kind: .square), x) }
/// −1, 0 or 1; no gradient.
public func sign(_ x: Tensor) -> Tensor { record(Unary(kind: .sign), x) }
/// The error function.
public func erf(_ x: Tensor) -> Tensor { record(Unary(kind: .erf), x) }
/// `max(x, 0)`; the gradient at 0 is 0.
public func relu(_ x: Tensor) -> Tensor { record(Unary(kind: .relu), x) }
/// `min(max(x, 0), 6)`.
public func relu6(_ x: Tensor) -> Tensor { record(Unary(kind: .relu6), x) }
/// `x` where positive, else `slope · x`.
public func leakyRelu(_ x: Tensor, slope: some ScalarValue = Float(0.01)) -> Tensor {
  record(Unary(kind: .leakyRelu), x, scalars: [slope.scalar])
}
/// `1 / (1 + e⁻ˣ)`.
public func sigmoid(_ x: Tensor) -> Tensor { record(Unary(kind: .sigmoid), x) }
/// The hyperbolic tangent.
public func tanh(_ x: Tensor) -> Tensor { record(Unary(kind: .tanh), x) }
/// `x · relu6(x + 3) / 6` (MobileNetV3, arXiv:1905.02244).
public func hardSwish(_ x: Tensor) -> Tensor { record(Unary(kind: .hardSwish), x) }
/// `x · Φ(x)` with the normal distribution's Φ, exactly (arXiv:1606.08415).
public func gelu(_ x: Tensor) -> Tensor { record(Unary(kind: .gelu), x) }
/// `x · sigmoid(x)`.
public func silu(_ x: Tensor) -> Tensor { record(Unary(kind: .silu), x) }
/// `x` limited to `[low, high]`; the gradient passes where the limits do not act.
public func clamp(_ x: Tensor, _ low: some ScalarValue, _ high: some ScalarValue) -> Tensor {
  record(Unary(kind: .clamp), x, scalars: [low.scalar, high.scalar])
}
/// `xᵖ`.
public func pow(_ x: Tensor, _ exponent: some ScalarValue) -> Tensor {
  record(Unary(kind: .pow), x, scalars: [exponent.scalar])
}
/// `scale · x + shift` in one pass.
func affine(_ x: Tensor, scale: Scalar, shift: Scalar) -> Tensor {
  record(Unary(kind: .affine), x, scalars: [scale, shift])
}

extension Tensor {
  /// `x + a`.
  public static func + (x: Tensor, a: some ScalarValue) -> Tensor {
    affine(x, scale: Scalar(Float(1)), shift: a.scalar)
  }
  /// `a + x`.
  public static func + (a: some ScalarValue, x: Tensor) -> Tensor { x + a }
  /// `x − a`.
  public static func - (x: Tensor, a: some ScalarValue) -> Tensor { x + (-a.scalar) }
  /// `a − x`.
  public static func - (a: some ScalarValue, x: Tensor) -> Tensor {
    affine(x, scale: Scalar(Float(-1)), shift: a.scalar)
  }
  /// `x · a`.
  public static func * (x: Tensor, a: some ScalarValue) -> Tensor {
    affine(x, scale: a.scalar, shift: Scalar(Float(0)))
  }
  /// `a · x`.
  public static func * (a: some ScalarValue, x: Tensor) -> Tensor { x * a }
  /// `x / a`.
  public static func / (x: Tensor, a: some ScalarValue) -> Tensor {
    x * (Scalar(Float(1)) / a.scalar)
  }
  /// `a / x`.
  public static func / (a: some ScalarValue, x: Tensor) -> Tensor { reciprocal(x) * a }
  /// `−x`.
  public static prefix func - (x: Tensor) -> Tensor { record(Unary(kind: .negate), x) }
}
