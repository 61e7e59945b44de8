import CKernels

/// The same tensor as another value: an alias where that does, else elements of its own.
///
/// What leaves a sampled choice is always a new value, even when it is its input.
struct Copy: HandsOn {
  static let stem = "copy"
  /// Whether the result counts as needing a gradient whatever the operand is: what is planned after
  /// a sampled choice may not depend on which candidate ran.
  let carriesGradient: Bool
  /// False where the operand is about to be overwritten: then the elements are copied.
  var mayShareMemory = true

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }
  func requiredLayout(at index: Int) -> LayoutRequirement { .same }

  func emit(into builder: inout LaunchBuilder) {
    if mayShareMemory && builder.alias() { return }
    builder.emitCopy(
      sizes: [builder.resultTypes[0].shape.count], from: [1], to: [1],
      dtype: builder.resultTypes[0].dtype)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] { [context.dy] }
}

/// The identity that lets no gradient through.
struct StopGradient: Operation {
  static let stem = "stop_gradient"

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }
  func requiredLayout(at index: Int) -> LayoutRequirement { .same }
  func isDifferentiable(at index: Int) -> Bool { false }
  func emit(into builder: inout LaunchBuilder) {
    Copy(carriesGradient: false).emit(into: &builder)
  }
  func gradient(_ context: GradientContext) -> [Tensor?] { [nil] }
}

/// The same tensor in another memory layout.
struct LayoutConversion: Operation {
  static let stem = "copy"
  static let takesConvolutionWeights = true
  let to: Layout

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType(operands[0].shape, operands[0].dtype, to)]
  }
  func requiredLayout(at index: Int) -> LayoutRequirement {
    to == .standard ? .convolutionWeight : .standard
  }

  func emit(into builder: inout LaunchBuilder) {
    let from = builder.operandTypes[0]
    let to = builder.resultTypes[0]
    let order = to.memoryOrder
    builder.emitCopy(
      sizes: order.map { to.shape[$0] }, from: order.map { from.strides[$0] },
      to: order.map { to.strides[$0] }, dtype: to.dtype)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [record(LayoutConversion(to: to == .standard ? .convolutionWeight : .standard), context.dy)]
  }
}

/// Float32 to float64 or back, at the borders of a reference plan.
struct Widen: Operation {
  static let stem = "cast"
  let isWidening: Bool

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }

  func emit(into builder: inout LaunchBuilder) {
    var row = esp_cast_row()
    let narrow = Int32(ESP_FLOAT32.rawValue)
    let wide = Int32(ESP_FLOAT64.rawValue)
    row.from = isWidening ? narrow : wide
    row.to = isWidening ? wide : narrow
    row.pixels = 1
    row.channels = Int32(builder.operandTypes[0].shape.count)
    var from = builder.operand(0)
    var to = builder.result()
    from.dtype = isWidening ? .float32 : .float64
    to.dtype = isWidening ? .float64 : .float32
    builder.emit(.cast, .float32, [from, to], row: row)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] { [nil] }
}

extension Kernel {
  static let copy32 = Kernel(
    "copy_32", esp_copy_32, esp_copy_64, int32: esp_copy_32, bool: esp_copy_8,
    openCL: [
      .float32: "esp_copy_32", .float64: "esp_copy_64", .int32: "esp_copy_32", .bool: "esp_copy_8",
    ])
  static let cast = Kernel("cast", esp_cast, esp_cast, int32: esp_cast, bool: esp_cast)
}

extension LaunchBuilder {
  /// Copies a view of operand `source` into a view of result 0.
  mutating func emitCopy(
    operand source: Int = 0, sizes: [Int], from: [Int], to: [Int], dtype: DType,
    fromOffset: Int = 0, toOffset: Int = 0
  ) {
    emitCopy(
      operand(source), result(), sizes: sizes, from: from, to: to, dtype: dtype,
      fromOffset: fromOffset, toOffset: toOffset)
  }

  /// Copies a view of one operand into a view of another.
  mutating func emitCopy(
    _ source: Operand, _ target: Operand, sizes: [Int], from: [Int], to: [Int], dtype: DType,
    fromOffset: Int = 0, toOffset: Int = 0
  ) {
    var view = StridedView(sizes: sizes, strides: [from, to])
    view.collapse()
    var row = esp_copy_row()
    row.base_x = Int32(fromOffset)
    row.base_y = Int32(toOffset)
    row.size = view.size
    row.stride_x = view.stride(0)
    row.stride_y = view.stride(1)
    emit(
      .copy32, dtype, [source, target], row: row,
      openCL: .items(elementwiseItems(sizes.reduce(1, *))))
  }
}
