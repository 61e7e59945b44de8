import CKernels

/// An elementwise function of two tensors under broadcasting.
struct Binary: Operation {
  enum Kind: UInt32, Sendable {
    case add, subtract, multiply, divide, power, maximum, minimum, reluMask, relu6Mask
    case greater, greaterEqual, less, lessEqual, equal, notEqual

    var isComparison: Bool { rawValue >= Kind.greater.rawValue }
  }

  static let stem = "binary"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let kind: Kind

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let (a, b) = (operands[0], operands[1])
    precondition(a.dtype == b.dtype, "\(kind): \(a) and \(b) differ in type")
    precondition(a.dtype != .bool, "\(kind): operands are \(a), needs numbers")
    guard let shape = a.shape.broadcast(with: b.shape) else {
      preconditionFailure("\(kind): shapes \(a.shape) and \(b.shape) do not broadcast")
    }
    return [TensorType(shape, kind.isComparison ? .bool : a.dtype, a.layout)]
  }
  func requiredLayout(at index: Int) -> LayoutRequirement { .same }
  func isDifferentiable(at index: Int) -> Bool {
    switch kind {
    case .reluMask, .relu6Mask: index == 0
    default: !kind.isComparison
    }
  }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.resultTypes[0]
    var view = builder.elementwiseView()
    view.collapse()
    var row = esp_binary_row()
    row.kind = Int32(kind.rawValue)
    row.size = view.size
    row.stride_a = view.stride(0)
    row.stride_b = view.stride(1)
    row.stride_y = view.stride(2)
    let dtype = builder.operandTypes[0].dtype
    builder.emit(
      .binary, dtype, [builder.operand(0), builder.operand(1), builder.result()], row: row,
      openCL: .items(elementwiseItems(type.shape.count)))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let (a, b) = (context.operands[0], context.operands[1])
    let y = context.results[0]
    let dy = context.dy
    let wanted = context.isWanted
    func reduced(_ index: Int, _ gradient: () -> Tensor) -> Tensor? {
      wanted[index] ? sum(gradient(), to: context.operands[index].shape) : nil
    }
    switch kind {
    case .add: return [reduced(0) { dy }, reduced(1) { dy }]
    case .subtract: return [reduced(0) { dy }, reduced(1) { -dy }]
    case .multiply: return [reduced(0) { dy * b }, reduced(1) { dy * a }]
    case .divide: return [reduced(0) { dy / b }, reduced(1) { -(dy * y / b) }]
    case .power:
      return [reduced(0) { dy * b * pow(a, b - 1) }, reduced(1) { dy * y * log(a) }]
    case .maximum, .minimum:
      // As PyTorch: equal elements share the gradient.
      let takesA = kind == .maximum ? a .> b : a .< b
      let half = dy * 0.5
      let rest = which(a .== b, half, dy.zerosLike())
      return [
        reduced(0) { which(takesA, dy, rest) },
        reduced(1) { which(takesA, dy.zerosLike(), which(a .== b, half, dy)) },
      ]
    case .reluMask, .relu6Mask: return [record(self, dy, b), nil]
    default: return [nil, nil]
    }
  }
}

extension Kernel {
  static let binary = Kernel(
    "binary", esp_binary_f32, esp_binary_f64, int32: esp_binary_i32, skipping: 2)
}

extension LaunchBuilder {
  /// The view in which all operands broadcast to result 0: memory order of the result.
  func elementwiseView() -> StridedView {
    let type = resultTypes[0]
    let order = type.memoryOrder
    let shape = type.shape
    return StridedView(
      sizes: order.map { shape[$0] },
      strides: operandTypes.indices.map { index in
        let strides = operandTypes[index].strides(
          broadcastTo: shape, pixel: operandStrides[index])
        return order.map { strides[$0] }
      } + [order.map { stridesOfResult[$0] }])
  }
}

/// The gradient of a broadcast: sums what was repeated.
func sum(_ x: Tensor, to shape: Shape) -> Tensor {
  if x.shape == shape { return x }
  let extra = x.rank - shape.rank
  var axes: [Int] = Array(0..<extra)
  for axis in 0..<shape.rank where shape[axis] == 1 && x.shape[axis + extra] != 1 {
    axes.append(axis + extra)
  }
  let reduced = axes.isEmpty ? x : x.sum(axes: axes, keepingDimensions: true)
  return reduced.shape == shape ? reduced : reduced.reshaped(to: shape)
}

extension Tensor {
  /// The elementwise sum under broadcasting.
  public static func + (a: Tensor, b: Tensor) -> Tensor { record(Binary(kind: .add), a, b) }
  /// The elementwise difference under broadcasting.
  public static func - (a: Tensor, b: Tensor) -> Tensor { record(Binary(kind: .subtract), a, b) }
  /// The elementwise product under broadcasting.
  public static func * (a: Tensor, b: Tensor) -> Tensor { record(Binary(kind: .multiply), a, b) }
  /// The elementwise quotient under broadcasting.
  public static func / (a: Tensor, b: Tensor) -> Tensor { record(Binary(kind: .divide), a, b) }
  /// Adds `b` to `a`.
  public static func += (a: inout Tensor, b: Tensor) { a = a + b }
  /// Subtracts `b` from `a`.
  public static func -= (a: inout Tensor, b: Tensor) { a = a - b }
  /// Multiplies `a` by `b`.
  public static func *= (a: inout Tensor, b: Tensor) { a = a * b }

  /// Where `a` is greater.
  public static func .> (a: Tensor, b: Tensor) -> Tensor { record(Binary(kind: .greater), a, b) }
  /// Where `a` is greater or equal.
  public static func .>= (a: Tensor, b: Tensor) -> Tensor {
    record(Binary(kind: .greaterEqual), a, b)
  }
  /// Where `a` is less.
  public static func .< (a: Tensor, b: Tensor) -> Tensor { record(Binary(kind: .less), a, b) }
  /// Where `a` is less or equal.
  public static func .<= (a: Tensor, b: Tensor) -> Tensor { record(Binary(kind: .lessEqual), a, b) }
  /// Where elements are equal.
  public static func .== (a: Tensor, b: Tensor) -> Tensor { record(Binary(kind: .equal), a, b) }
  /// Where elements differ.
  public static func .!= (a: Tensor, b: Tensor) -> Tensor { record(Binary(kind: .notEqual), a, b) }

  /// Where `a` is greater than a number.
  public static func .> (a: Tensor, b: some ScalarValue) -> Tensor { a .> a.constant(b) }
  /// Where `a` is at least a number.
  public static func .>= (a: Tensor, b: some ScalarValue) -> Tensor { a .>= a.constant(b) }
  /// Where `a` is less than a number.
  public static func .< (a: Tensor, b: some ScalarValue) -> Tensor { a .< a.constant(b) }
  /// Where `a` is at most a number.
  public static func .<= (a: Tensor, b: some ScalarValue) -> Tensor { a .<= a.constant(b) }

  /// One element of this tensor's type and device, to broadcast.
  func constant(_ value: some ScalarValue) -> Tensor {
    let recorder = Recorder.current
    let outer = recorder.device
    recorder.device = device
    defer { recorder.device = outer }
    return Tensor(repeating: value, shape: [], dtype: dtype)
  }
}

/// `aᵇ`, elementwise.
public func pow(_ a: Tensor, _ b: Tensor) -> Tensor { record(Binary(kind: .power), a, b) }
/// The larger of two elements; equal ones share the gradient.
public func maximum(_ a: Tensor, _ b: Tensor) -> Tensor { record(Binary(kind: .maximum), a, b) }
/// The smaller of two elements; equal ones share the gradient.
public func minimum(_ a: Tensor, _ b: Tensor) -> Tensor { record(Binary(kind: .minimum), a, b) }
