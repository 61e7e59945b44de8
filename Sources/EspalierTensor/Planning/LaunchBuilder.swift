/// One operand of a kernel call while a plan is made.
public struct Operand: Sendable {
  /// Number of the value or workspace in the builder; -1 for an absent operand.
  var number: Int32
  /// Element type as the kernel will see it.
  var dtype: DType
  /// Elements between runs.
  var stride: Int32
  /// Elements from where the value `number` begins, of a view of it.
  var elementOffset = 0
  /// What a call waits for that reads it: the value itself, or the view.
  var dependency: Int32 = -1
  /// Whether the row adds to what is there: its result is one term of a sum.
  var accumulates = false

  /// The same, added to by a row that is not the first of a sum.
  func accumulating(_ accumulates: Bool) -> Operand {
    var operand = self
    operand.accumulates = accumulates
    return operand
  }

  /// An operand that is exactly zero and not read.
  static let absent = Operand(number: -1, dtype: .float32, stride: 0)
}

/// A kernel call before memory is planned.
struct PendingLaunch {
  var kernel: Kernel
  var dtype: DType
  var operands: [Operand]
  var scalars: [Scalar]
  var row: [UInt8]
  var openCL: OpenCLCall?
  /// The record it belongs to, for messages.
  var origin: Int32
}

/// Collects the kernel calls of one operation.
public struct LaunchBuilder {
  let operandTypes: [TensorType]
  let resultTypes: [TensorType]
  let operandNumbers: [Int32]
  let resultNumbers: [Int32]
  let scalars: [Scalar]
  let origin: Int32
  /// Float32 values are held and computed in float64.
  let isReference: Bool
  /// Whether kernels have scratch of their own on each thread; else it is part of their workspace.
  let hasThreadScratch: Bool
  /// Results that may be aliases of an operand.
  let mayAlias: [Bool]
  /// Elements between runs of each operand and result.
  let operandStrides: [Int]
  let resultStrides: [Int]
  /// Operands that were written into their place in result 0.
  let isPlaced: [Bool]
  /// Whether result 0 is read where it lies in operand 0.
  let isView: Bool

  /// The calls, each with its rows.
  var calls: [[PendingLaunch]] = []
  var aliases: [(result: Int32, operand: Int32)] = []
  /// Workspaces made: bytes of each; numbered from -2 downwards.
  var workspaces: [Int] = []

  private func seen(_ dtype: DType) -> DType {
    isReference && dtype == .float32 ? .float64 : dtype
  }

  /// Operand `index` of the operation.
  public func operand(_ index: Int) -> Operand {
    let type = operandTypes[index]
    return Operand(
      number: operandNumbers[index], dtype: seen(type.dtype), stride: Int32(operandStrides[index]))
  }

  /// Result `index` of the operation.
  public func result(_ index: Int = 0) -> Operand {
    let type = resultTypes[index]
    return Operand(
      number: resultNumbers[index], dtype: seen(type.dtype), stride: Int32(resultStrides[index]))
  }

  /// Strides of operand `index`, an image's pixel stride included.
  func strides(ofOperand index: Int) -> [Int] {
    operandTypes[index].strides(pixel: operandStrides[index])
  }

  /// Strides of result 0, an image's pixel stride included.
  var stridesOfResult: [Int] { resultTypes[0].strides(pixel: resultStrides[0]) }

  /// Memory that lives as long as the operation's calls.
  public mutating func workspace(_ count: Int, _ dtype: DType) -> Operand {
    let dtype = seen(dtype)
    workspaces.append(count * dtype.byteCount)
    return Operand(number: Int32(-1 - workspaces.count), dtype: dtype, stride: 1)
  }

  /// Says that result 0 is operand 0 under another shape.
  /// - Returns: False where a copy is needed.
  public mutating func alias() -> Bool {
    guard mayAlias[0] else { return false }
    aliases.append((resultNumbers[0], operandNumbers[0]))
    return true
  }

  /// Adds a kernel call; `row` is the kernel's row with its structural fields set.
  public mutating func emit<Row>(
    _ kernel: Kernel, _ dtype: DType, _ operands: [Operand], scalars: [Scalar] = [], row: Row,
    openCL: OpenCLCall? = nil
  ) {
    emitRows(kernel, dtype, [(operands, scalars, row)], openCL: openCL)
  }

  /// Adds one kernel call of several rows, in this order.
  mutating func emitRows<Row>(
    _ kernel: Kernel, _ dtype: DType, _ rows: [(operands: [Operand], scalars: [Scalar], row: Row)],
    openCL: OpenCLCall? = nil
  ) {
    let call = openCL?.resolved(for: kernel, seen(dtype))
    calls.append(
      rows.map { operands, scalars, row in
        PendingLaunch(
          kernel: kernel, dtype: seen(dtype), operands: operands, scalars: scalars,
          row: withUnsafeBytes(of: row) { Array($0) }, openCL: call, origin: origin)
      })
  }
}
