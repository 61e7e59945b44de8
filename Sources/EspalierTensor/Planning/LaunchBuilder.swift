import CKernels

/// A kernel in its forms for element types.
public struct Kernel: Sendable {
  let name: String
  let float32: esp_kernel?
  let float64: esp_kernel?
  let int32: esp_kernel?
  let bool: esp_kernel?
  /// So many operands, from the first on, are skipped where a row says that they are absent.
  let skippedOperands: Int
  private let openCLNames: [DType: String]

  /// By default the OpenCL kernel is `esp_` and the name, with `_i32` or `_8` for other elements
  /// than float32; none computes in float64.
  init(
    _ name: String, _ float32: esp_kernel?, _ float64: esp_kernel?, int32: esp_kernel? = nil,
    bool: esp_kernel? = nil, skipping skippedOperands: Int = 0, openCL: [DType: String]? = nil
  ) {
    self.name = name
    self.skippedOperands = skippedOperands
    var names: [DType: String] = [.float32: "esp_\(name)"]
    if int32 != nil { names[.int32] = "esp_\(name)_i32" }
    if bool != nil { names[.bool] = "esp_\(name)_8" }
    openCLNames = openCL ?? names
    self.float32 = float32
    self.float64 = float64
    self.int32 = int32
    self.bool = bool
  }

  func function(_ dtype: DType) -> esp_kernel {
    let found =
      switch dtype {
      case .float32: float32
      case .float64: float64
      case .int32: int32
      case .bool: bool
      }
    guard let found else { preconditionFailure("\(name) has no \(dtype) kernel") }
    return found
  }

  func openCLName(_ dtype: DType) -> String? { openCLNames[dtype] }
}

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

/// How an OpenCL device runs a call: kernels one after the other, over the same operands and rows.
public struct OpenCLCall: Sendable {
  struct Step: Sendable {
    /// Nil until resolved: the call's own kernel in the form for its element type.
    var kernel: String?
    /// Work-items a row, as the comment above the kernel counts them.
    var items: Int
  }

  private(set) var steps: [Step]
  /// Whether the rows are `esp_matmul_row`, which CLBlast computes too.
  private(set) var isMatrixProduct = false

  /// The call's own kernel.
  static func items(_ count: Int) -> OpenCLCall {
    OpenCLCall(steps: [Step(kernel: nil, items: count)])
  }

  /// The call's own kernel, or CLBlast where the device does better with it.
  static func matrixProduct(items count: Int) -> OpenCLCall {
    OpenCLCall(steps: [Step(kernel: nil, items: count)], isMatrixProduct: true)
  }

  /// A variant of the call's kernel.
  static func kernel(_ name: String, items: Int) -> OpenCLCall {
    OpenCLCall(steps: [Step(kernel: name, items: items)])
  }

  /// The same, followed by another kernel.
  func then(_ kernel: String, items: Int) -> OpenCLCall {
    OpenCLCall(steps: steps + [Step(kernel: kernel, items: items)])
  }

  /// The kernels' names, once resolved.
  var kernels: [String] { steps.compactMap(\.kernel) }

  /// For rows of both calls, of the same kernels: as many items as the larger row needs.
  func covering(_ other: OpenCLCall) -> OpenCLCall {
    var call = self
    call.steps = zip(steps, other.steps).map {
      Step(kernel: $0.kernel, items: max($0.items, $1.items))
    }
    return call
  }

  /// With every name filled in; nil where the device has no kernel for the element type.
  func resolved(for kernel: Kernel, _ dtype: DType) -> OpenCLCall? {
    guard let own = kernel.openCLName(dtype) else { return nil }
    var call = self
    call.steps = steps.map { Step(kernel: $0.kernel ?? own, items: $0.items) }
    return call
  }
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

/// Sizes and strides of a view of up to six dimensions, as rows want them: outermost first, padded
/// in front with size 1.
struct StridedView {
  typealias Six = (Int32, Int32, Int32, Int32, Int32, Int32)
  var sizes: [Int]
  /// One list of strides an operand.
  var strides: [[Int]]

  /// Merges neighbouring dimensions that every operand walks as one.
  mutating func collapse() {
    var axis = 0
    while axis < sizes.count {
      if sizes[axis] == 1 && sizes.count > 1 {
        sizes.remove(at: axis)
        for k in strides.indices { strides[k].remove(at: axis) }
        continue
      }
      if axis > 0, strides.allSatisfy({ $0[axis - 1] == $0[axis] * sizes[axis] }) {
        sizes[axis - 1] *= sizes[axis]
        for k in strides.indices { strides[k][axis - 1] = strides[k][axis] }
        sizes.remove(at: axis)
        for k in strides.indices { strides[k].remove(at: axis) }
        continue
      }
      axis += 1
    }
  }

  static func six(_ list: [Int], padding: Int) -> Six {
    precondition(list.count <= 6, "a view has \(list.count) dimensions, at most six are supported")
    var all = [Int32](repeating: Int32(padding), count: 6 - list.count)
    all.append(contentsOf: list.map { Int32($0) })
    return (all[0], all[1], all[2], all[3], all[4], all[5])
  }

  var size: Six { StridedView.six(sizes, padding: 1) }
  func stride(_ k: Int) -> Six { StridedView.six(strides[k], padding: 0) }
}

extension TensorType {
  /// Strides of an image whose pixels lie `pixel` elements apart; of anything else, its own.
  func strides(pixel: Int) -> [Int] {
    guard shape.rank == 4, layout == .standard, pixel != runLength else { return strides }
    return strides.enumerated().map { $0 == 1 ? $1 : $1 / runLength * pixel }
  }

  /// Strides by which this operand walks over a result of shape `shape` under broadcasting.
  func strides(broadcastTo shape: Shape, pixel: Int? = nil) -> [Int] {
    let own = strides(pixel: pixel ?? runLength)
    var result = [Int](repeating: 0, count: shape.rank)
    for offset in 1...max(1, self.shape.rank) where offset <= self.shape.rank {
      if self.shape[-offset] != 1 {
        result[shape.rank - offset] = own[self.shape.rank - offset]
      }
    }
    return result
  }
}
