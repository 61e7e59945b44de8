import CKernels

/// The same numbers in another element type.
struct Cast: Operation {
  static let stem = "cast"
  let to: DType

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType(operands[0].shape, to, operands[0].layout)]
  }
  func requiredLayout(at index: Int) -> LayoutRequirement { .same }
  func isDifferentiable(at index: Int) -> Bool { to.isFloatingPoint }

  func emit(into builder: inout LaunchBuilder) {
    let (source, target) = (builder.operand(0), builder.result())
    if source.dtype == target.dtype {
      let count = builder.resultTypes[0].shape.count
      builder.emitCopy(
        source, target, sizes: [count], from: [1], to: [1], dtype: builder.resultTypes[0].dtype)
      return
    }
    var row = esp_cast_row()
    row.from = source.dtype.kernelType
    row.to = target.dtype.kernelType
    row.pixels = 1
    row.channels = Int32(builder.resultTypes[0].shape.count)
    let isDouble = source.dtype == .float64 || target.dtype == .float64
    builder.emit(
      .cast, .float32, [source, target], row: row,
      openCL: isDouble ? nil : .items(elementwiseItems(Int(row.channels))))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let dtype = context.operands[0].dtype
    return [dtype.isFloatingPoint ? context.dy.cast(to: dtype) : nil]
  }
}

extension DType {
  var kernelType: Int32 {
    switch self {
    case .float32: Int32(ESP_FLOAT32.rawValue)
    case .float64: Int32(ESP_FLOAT64.rawValue)
    case .int32: Int32(ESP_INT32.rawValue)
    case .bool: Int32(ESP_BYTE.rawValue)
    }
  }
}

extension Tensor {
  /// The same numbers in another element type; floats are cut towards zero for int32.
  public func cast(to dtype: DType) -> Tensor {
    dtype == self.dtype ? self : record(Cast(to: dtype), self)
  }
}
