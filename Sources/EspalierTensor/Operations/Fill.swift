import CKernels

/// A tensor of one value.
struct Fill: Operation {
  static let stem = "fill"
  let type: TensorType

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [type] }

  func emit(into builder: inout LaunchBuilder) {
    builder.emitFill(builder.result(), type, builder.scalars[0])
  }

  func gradient(_ context: GradientContext) -> [Tensor?] { [] }
}

extension Kernel {
  static let fill = Kernel(
    "fill", esp_fill_f32, esp_fill_f64, int32: esp_fill_i32, bool: esp_fill_8)
}

extension LaunchBuilder {
  /// Sets all elements of `target`; integer types take the scalar's bits.
  mutating func emitFill(_ target: Operand, _ type: TensorType, _ value: Scalar) {
    var row = esp_fill_row()
    row.channels = Int32(max(type.runLength, 1))
    row.pixels = Int32(type.shape.count / max(type.runLength, 1))
    emit(
      .fill, type.dtype, [target], scalars: [value], row: row,
      openCL: .items(elementwiseItems(type.shape.count)))
  }
}

extension Tensor {
  /// A tensor filled with one value.
  public init(repeating value: some ScalarValue, shape: Shape, dtype: DType = .float32) {
    precondition(dtype.isFloatingPoint, "use init(_:shape:) for \(dtype) tensors")
    self = record(Fill(type: TensorType(shape, dtype)), scalars: [value.scalar])
  }

  /// A tensor of zeros.
  public init(zeros shape: Shape, dtype: DType = .float32) {
    self = record(Fill(type: TensorType(shape, dtype)), scalars: [Scalar.bits(0)])
  }

  /// A tensor of ones.
  public init(ones shape: Shape, dtype: DType = .float32) {
    self.init(repeating: 1, shape: shape, dtype: dtype)
  }

  /// Zeros of this tensor's shape, type and device.
  public func zerosLike() -> Tensor {
    record(FillLike(isZero: true), self, scalars: [Scalar.bits(0)])
  }

  /// Ones of this tensor's shape, type and device.
  public func onesLike() -> Tensor { record(FillLike(), self, scalars: [Scalar(1.0)]) }
}

/// A tensor of one value with the type and device of the operand.
struct FillLike: GivesConstant {
  static let stem = "fill"
  /// Whether the value is exactly zero whenever the plan runs.
  var isZero = false

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }
  func requiredLayout(at index: Int) -> LayoutRequirement { .same }
  func isDifferentiable(at index: Int) -> Bool { false }
  func emit(into builder: inout LaunchBuilder) {
    builder.emitFill(builder.result(), builder.resultTypes[0], builder.scalars[0])
  }
  func gradient(_ context: GradientContext) -> [Tensor?] { [nil] }
}
