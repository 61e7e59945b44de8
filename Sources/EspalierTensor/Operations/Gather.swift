import CKernels

/// Rows of a table.
///
/// Operands: table `[V, D]`, index int32 `[M]`.
struct Gather: Operation {
  static let stem = "gather"

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let (table, index) = (operands[0], operands[1])
    precondition(
      table.shape.rank == 2 && index.shape.rank == 1 && index.dtype == .int32,
      "gather: table \(table), index \(index); needs [V, D] and int32 [M]")
    return [TensorType([index.shape[0], table.shape[1]], table.dtype)]
  }
  func isDifferentiable(at index: Int) -> Bool { index == 0 }

  func emit(into builder: inout LaunchBuilder) {
    let table = builder.operandTypes[0].shape
    var row = esp_gather_row()
    (row.rows, row.width) = (Int32(table[0]), Int32(table[1]))
    row.count = Int32(builder.operandTypes[1].shape[0])
    builder.emit(
      .gather, builder.operandTypes[0].dtype,
      [builder.operand(0), builder.operand(1), builder.result()], row: row,
      openCL: .items(Int(row.count) * elementwiseItems(table[1])))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [
      record(GatherBackward(rows: context.operands[0].shape[0]), context.dy, context.operands[1]),
      nil,
    ]
  }
}

/// Operands: dy `[M, D]`, index.
struct GatherBackward: Operation {
  static let stem = "gather"
  let rows: Int

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType([rows, operands[0].shape[1]], operands[0].dtype)]
  }
  func isDifferentiable(at index: Int) -> Bool { index == 0 }

  func emit(into builder: inout LaunchBuilder) {
    var row = esp_gather_backward_row()
    (row.rows, row.width) = (Int32(rows), Int32(builder.operandTypes[0].shape[1]))
    row.count = Int32(builder.operandTypes[1].shape[0])
    builder.emit(
      .gatherBackward, builder.operandTypes[0].dtype,
      [builder.operand(0), builder.operand(1), builder.result()], row: row,
      openCL: .items(rows * vectors(Int(row.width))))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [record(Gather(), context.dy, context.operands[1]), nil]
  }
}

/// 1 at each index, 0 elsewhere.
///
/// Operand: index int32 `[M]`.
struct OneHot: Operation {
  static let stem = "one_hot"
  let classes: Int
  let dtype: DType

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    precondition(
      operands[0].shape.rank == 1 && operands[0].dtype == .int32,
      "oneHot: \(operands[0]), needs int32 [M]")
    return [TensorType([operands[0].shape[0], classes], dtype)]
  }
  func isDifferentiable(at index: Int) -> Bool { false }

  func emit(into builder: inout LaunchBuilder) {
    var row = esp_one_hot_row()
    row.count = Int32(builder.operandTypes[0].shape[0])
    row.classes = Int32(classes)
    builder.emit(
      .oneHot, dtype, [builder.operand(0), builder.result()], row: row,
      openCL: .items(elementwiseItems(Int(row.count) * classes)))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] { [nil] }
}

extension Kernel {
  static let gather = Kernel("gather", esp_gather_f32, esp_gather_f64)
  static let gatherBackward = Kernel(
    "gather_backward", esp_gather_backward_f32, esp_gather_backward_f64)
  static let oneHot = Kernel("one_hot", esp_one_hot_f32, esp_one_hot_f64)
}

extension Tensor {
  /// Rows of a table `[V, D]` by index, int32 `[M]` → `[M, D]`.
  public func gathered(_ index: Tensor) -> Tensor { record(Gather(), self, index) }

  /// `[M, classes]` with 1 at each index of an int32 `[M]`.
  public func oneHot(classes: Int, dtype: DType = .float32) -> Tensor {
    record(OneHot(classes: classes, dtype: dtype), self)
  }
}
