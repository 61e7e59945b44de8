/// One recorded operation: indices into the recorder's arrays.
struct Record {
  var operation: Int32
  var firstOperand: Int32
  var operandCount: Int32
  /// Results are numbered from here on.
  var firstResult: Int32
  var resultCount: Int32
  var firstScalar: Int32
  var scalarCount: Int32
  var traits: OperationTraits
}

/// What a flush must know of an operation without looking it up.
struct OperationTraits {
  /// Whether operands are written in place.
  var hasEffect = false
  /// Whether the results count as needing a gradient whatever the operands are.
  var carriesGradient = false
  /// Bit k: operand k lets gradients through; the last bit stands for all further ones.
  private var differentiable: UInt32 = 0

  init<O: Operation>(_ operation: O, operandCount: Int) {
    hasEffect = operation.hasEffect
    carriesGradient = (operation as? Passage)?.carriesGradient ?? false
    for k in 0..<min(operandCount, 32) where operation.isDifferentiable(at: k) {
      differentiable |= 1 << UInt32(k)
    }
  }

  func isDifferentiable(at k: Int) -> Bool { differentiable & (1 << UInt32(min(k, 31))) != 0 }
}

/// Where the record is cut into blocks.
struct Mark {
  /// The record that follows the mark.
  var position: Int32
  /// What begins here, for the memory bound of a position: a hash of the choice's key and occurrence.
  var identity: UInt64
  /// A cut, or only the end of a scope at which a long block may be cut.
  var isCut: Bool
}

/// The open record of one thread.
///
/// Tensor functions append to it; `Executor` plans and runs what is needed of it.
final class Recorder {
  enum Kind {
    /// Outside `step`: a flush stores every value that still has a handle.
    case immediate
    /// Inside `step`: values that nobody demanded are recomputed from the kept record.
    case step
    /// Symbolic: a plan is being made; nothing is ever run.
    case planning
  }

  nonisolated(unsafe) private static var lastEpoch: UInt64 = 0
  private static let epochLock = Lock()
  static func nextEpoch() -> UInt64 {
    epochLock.with {
      lastEpoch += 1
      return lastEpoch
    }
  }

  let kind: Kind
  private(set) var epoch = Recorder.nextEpoch()
  @exclusivity(unchecked) var records: ContiguousArray<Record> = []
  @exclusivity(unchecked) var operands: ContiguousArray<Int32> = []
  @exclusivity(unchecked) var values: ContiguousArray<Value> = []
  /// The record that produces each value; -1 for values from outside.
  @exclusivity(unchecked) var producers: ContiguousArray<Int32> = []
  @exclusivity(unchecked) var scalars: ContiguousArray<Scalar> = []
  var marks: ContiguousArray<Mark> = []
  /// Values handed to sampled choices: used later whatever is sampled.
  var handed: [Int32] = []
  /// What went wrong in a flush that nobody asked for; thrown by the next one.
  var deferredError: DeviceError?
  /// Records with an effect that have run already.
  var executed: Set<Int32> = []
  /// While a custom gradient is recorded: values of the outer open record that were used, with the
  /// place they have there.
  var captured: [(value: Value, epoch: UInt64, number: Int32)]?
  /// Where operations without operands run; nil is the current device.
  var device: Device?
  /// Cuts of sampled choices so far, to tell occurrences of a key apart.
  var cutCount = 0
  /// Outputs that got a bias, which is recorded as an addition: multiply-adds that no operation has.
  var biasedOutputs = 0
  /// Whether recorded updates will run: not in a dry run, not in a pullback.
  var updatesVariables = true
  /// Depth of open gradient closures.
  var gradientDepth = 0
  /// Random operations recorded since the step began.
  var randomCount: UInt32 = 0
  /// The step's number and seed, for random operations.
  var randomSeed: UInt64 = 0
  var randomStep: UInt32 = 0
  private var numberings: [ObjectIdentifier: AnyObject] = [:]

  init(_ kind: Kind) { self.kind = kind }

  /// The open record of this thread.
  static var current: Recorder {
    ThreadState.current.recorder
  }

  /// Runs `body` with this as the thread's open record.
  func whileCurrent<R>(_ body: () throws -> R) rethrows -> R {
    let state = ThreadState.current
    let outer = state.recorder
    state.recorder = self
    defer { state.recorder = outer }
    return try body()
  }

  /// The number of a value in this record; values from outside get one at their first use.
  func number(of value: Value) -> Int32 {
    value.contents?.requireLatest(value)
    if value.epoch == epoch { return value.number }
    precondition(
      value.slice != nil || captured != nil || value.isAbsent,
      "\(value.name) was not a result of its step; return it from step { } to keep it")
    captured?.append((value, value.epoch, value.number))
    let number = Int32(values.count)
    value.epoch = epoch
    value.number = number
    values.append(value)
    producers.append(-1)
    return number
  }

  /// Appends an operation and returns its results.
  func record<O: Operation>(_ operation: O, _ inputs: [Tensor], _ scalars: [Scalar] = [])
    -> [Tensor]
  {
    if records.count >= 65_536 && kind == .immediate && deferredError == nil {
      do throws(DeviceError) {
        try Executor.flushImmediate(self)
      } catch { deferredError = error }
    }
    let device = inputs.first?.device ?? self.device ?? Device.current
    var types: [TensorType] = []
    types.reserveCapacity(inputs.count)
    let inputs = inLayout(operation, inputs)
    for (index, input) in inputs.enumerated() {
      precondition(
        input.device == device,
        "\(O.stem): operand \(index) is on \(input.device), operand 0 on \(device); use to(_:)")
      types.append(input.type)
    }
    let firstOperand = Int32(operands.count)
    for input in inputs { operands.append(number(of: input.value)) }
    let resultTypes = operation.resultTypes(types)
    let number = number(operation)
    let record = Record(
      operation: number, firstOperand: firstOperand, operandCount: Int32(inputs.count),
      firstResult: Int32(values.count), resultCount: Int32(resultTypes.count),
      firstScalar: Int32(self.scalars.count), scalarCount: Int32(scalars.count),
      traits: OperationTraits(operation, operandCount: inputs.count))
    self.scalars.append(contentsOf: scalars)
    var results: [Tensor] = []
    results.reserveCapacity(resultTypes.count)
    let index = Int32(records.count)
    for type in resultTypes {
      let value = Value(type: type, device: device, origin: number)
      value.epoch = epoch
      value.number = Int32(values.count)
      values.append(value)
      producers.append(index)
      results.append(Tensor(value))
    }
    records.append(record)
    return results
  }

  /// The operands with conversions recorded where an operation needs another layout.
  private func inLayout<O: Operation>(_ operation: O, _ inputs: [Tensor]) -> [Tensor] {
    if !O.takesConvolutionWeights && inputs.allSatisfy({ $0.value.type.layout == .standard }) {
      return inputs
    }
    var converted = inputs
    for index in inputs.indices {
      let layout = inputs[index].value.type.layout
      let needed: Layout
      switch operation.requiredLayout(at: index) {
      case .standard: needed = .standard
      case .convolutionWeight: needed = .convolutionWeight
      case .same:
        needed =
          inputs.allSatisfy { $0.value.type.layout == layout && $0.shape == inputs[0].shape }
          ? layout : .standard
      }
      if layout != needed {
        converted[index] = record(Relayout(to: needed), [inputs[index]])[0]
      }
    }
    return converted
  }

  private func number<O: Operation>(_ operation: O) -> Int32 {
    let id = ObjectIdentifier(O.self)
    let cache: OperationNumbers<O>
    if let known = numberings[id] {
      cache = unsafeDowncast(known, to: OperationNumbers<O>.self)
    } else {
      cache = OperationNumbers<O>()
      numberings[id] = cache
    }
    if let number = cache.numbers[operation] { return number }
    let number = OperationTable.shared.number(operation)
    cache.numbers[operation] = number
    return number
  }

  func mark(cut: Bool, identity: UInt64 = 0) {
    // Inside a nested gradient nothing is cut.
    guard gradientDepth < 2, kind != .planning else { return }
    if let last = marks.last, last.position == Int32(records.count), last.isCut || !cut { return }
    marks.append(Mark(position: Int32(records.count), identity: identity, isCut: cut))
  }

  /// Forgets the record; values that were not stored can no longer be used.
  func clear() {
    records.removeAll(keepingCapacity: true)
    operands.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
    producers.removeAll(keepingCapacity: true)
    scalars.removeAll(keepingCapacity: true)
    marks.removeAll(keepingCapacity: true)
    handed.removeAll(keepingCapacity: true)
    executed.removeAll(keepingCapacity: true)
    cutCount = 0
    epoch = Recorder.nextEpoch()
  }
}

/// Records an operation with one result.
func record<O: Operation>(_ operation: O, _ inputs: Tensor..., scalars: [Scalar] = []) -> Tensor {
  Recorder.current.record(operation, inputs, scalars)[0]
}

/// Records an operation with several results.
func recordAll<O: Operation>(_ operation: O, _ inputs: [Tensor], scalars: [Scalar] = []) -> [Tensor]
{
  Recorder.current.record(operation, inputs, scalars)
}
