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
  private let operations: KnownOperations
  private(set) var epoch = Recorder.nextEpoch()
  @exclusivity(unchecked) var records: ContiguousArray<Record> = []
  @exclusivity(unchecked) var operands: ContiguousArray<Int32> = []
  @exclusivity(unchecked) var values: ContiguousArray<Value> = []
  /// The record that produces each value; -1 for values from outside.
  @exclusivity(unchecked) var producers: ContiguousArray<Int32> = []
  @exclusivity(unchecked) var scalars: ContiguousArray<Scalar> = []
  var marks: ContiguousArray<Mark> = []
  /// Positions of the marks that cut.
  var cuts: ContiguousArray<Int32> = []
  /// Values handed to sampled choices: used later whatever is sampled.
  var handed: [Int32] = []
  /// What went wrong in a flush that nobody asked for; thrown by the next one.
  var deferredError: DeviceError?
  /// Records with an effect that have not run yet, in order.
  var pendingEffects: ContiguousArray<Int32> = []
  /// What `Record.barrier` says of what is recorded now.
  var barrier: Int32 = 0
  private var lastBarrier: Int32 = 0
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

  /// A record that `operations` is the memory of; by default the thread's.
  init(_ kind: Kind, _ operations: KnownOperations = ThreadState.current.operations) {
    self.kind = kind
    self.operations = operations
  }

  /// The open record of this thread.
  static var current: Recorder { ThreadState.current.recorder }

  /// Runs `body` with an empty record of a step, whose room is kept for the next one.
  static func withStep<R>(_ body: (Recorder) throws -> R) rethrows -> R {
    let state = ThreadState.current
    let recorder = state.spareRecorder ?? Recorder(.step)
    state.spareRecorder = nil
    defer {
      recorder.reset()
      state.spareRecorder = recorder
    }
    return try recorder.whileCurrent { try body(recorder) }
  }

  /// Runs `body` with its records between two barriers.
  func betweenBarriers<R>(_ body: () -> R) -> R {
    let outer = barrier
    lastBarrier += 1
    barrier = lastBarrier
    defer { barrier = outer }
    return body()
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

  /// Appends an operation; returns the numbers of its results.
  func append<O: Operation>(
    _ operation: O, _ inputs: UnsafeBufferPointer<Tensor>, _ scalars: [Scalar]
  ) -> Range<Int> {
    guard isInLayout(operation, inputs) else {
      return inLayout(operation, inputs).withUnsafeBufferPointer {
        append(operation, $0, scalars)
      }
    }
    let known = operations[operation]
    if !known.fits(inputs) { known.fit(operation, to: inputs) }
    return append(known, inputs, scalars)
  }

  private func append(
    _ known: KnownOperation, _ inputs: UnsafeBufferPointer<Tensor>, _ scalars: [Scalar]
  ) -> Range<Int> {
    if records.count >= 65_536 { flushLongRecord() }
    let device = inputs.first?.device ?? self.device ?? Device.current
    let firstOperand = Int32(operands.count)
    for index in 0..<inputs.count {
      let value = inputs[index].value
      precondition(
        value.device == device,
        "\(stem(known)): operand \(index) is on \(value.device), operand 0 on \(device); use to(_:)"
      )
      operands.append(number(of: value))
    }
    let first = values.count
    let firstScalar = Int32(self.scalars.count)
    if !scalars.isEmpty { self.scalars.append(contentsOf: scalars) }
    let index = Int32(records.count)
    let resultCount = known.resultTypes.count
    for k in 0..<resultCount {
      let value = Value(type: known.resultTypes[k], device: device, origin: known.number)
      value.epoch = epoch
      value.number = Int32(first + k)
      values.append(value)
      producers.append(index)
    }
    if known.traits.hasEffect { pendingEffects.append(index) }
    records.append(
      Record(
        operation: known.number, firstOperand: firstOperand, operandCount: Int32(inputs.count),
        firstResult: Int32(first), resultCount: Int32(resultCount), firstScalar: firstScalar,
        scalarCount: Int32(scalars.count), traits: known.traits, barrier: barrier))
    return first..<first + resultCount
  }

  private func stem(_ known: KnownOperation) -> String {
    let operation = OperationTable.shared[known.number]
    return type(of: operation).stem
  }

  /// Outside a step nothing ends a record; its operands are stored before the numbers are reused.
  private func flushLongRecord() {
    guard kind == .immediate, deferredError == nil else { return }
    do throws(DeviceError) {
      try Executor.flushImmediate(self)
    } catch { deferredError = error }
  }

  // MARK: Layout

  private func isInLayout<O: Operation>(
    _ operation: O, _ inputs: UnsafeBufferPointer<Tensor>
  ) -> Bool {
    for index in 0..<inputs.count {
      let layout = inputs[index].value.type.layout
      if layout == .standard && !O.takesConvolutionWeights { continue }
      if layout != needed(operation, inputs, index) { return false }
    }
    return true
  }

  private func needed<O: Operation>(
    _ operation: O, _ inputs: UnsafeBufferPointer<Tensor>, _ index: Int
  ) -> Layout {
    switch operation.requiredLayout(at: index) {
    case .standard: return .standard
    case .convolutionWeight: return .convolutionWeight
    case .same:
      let layout = inputs[index].value.type.layout
      return inputs.allSatisfy { $0.value.type.layout == layout && $0.shape == inputs[0].shape }
        ? layout : .standard
    }
  }

  /// The operands with conversions recorded where the operation needs another layout.
  private func inLayout<O: Operation>(
    _ operation: O, _ inputs: UnsafeBufferPointer<Tensor>
  ) -> [Tensor] {
    inputs.indices.map { index in
      let layout = needed(operation, inputs, index)
      if inputs[index].value.type.layout == layout { return inputs[index] }
      return withUnsafePointer(to: inputs[index]) {
        let results = append(LayoutConversion(to: layout), .init(start: $0, count: 1), [])
        return Tensor(values[results.lowerBound])
      }
    }
  }

  // MARK: Cuts

  func mark(cut: Bool, identity: UInt64 = 0) {
    // Inside a nested gradient nothing is cut.
    guard gradientDepth < 2, kind != .planning else { return }
    if let last = marks.last, last.position == Int32(records.count), last.isCut || !cut { return }
    marks.append(Mark(position: Int32(records.count), identity: identity, isCut: cut))
    if cut { cuts.append(Int32(records.count)) }
  }

  /// Forgets the record; values that were not stored can no longer be used.
  func clear() {
    records.removeAll(keepingCapacity: true)
    operands.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
    producers.removeAll(keepingCapacity: true)
    scalars.removeAll(keepingCapacity: true)
    marks.removeAll(keepingCapacity: true)
    cuts.removeAll(keepingCapacity: true)
    handed.removeAll(keepingCapacity: true)
    pendingEffects.removeAll(keepingCapacity: true)
    cutCount = 0
    epoch = Recorder.nextEpoch()
  }

  /// Makes the record of a finished step fit for another one.
  private func reset() {
    clear()
    deferredError = nil
    captured = nil
    device = nil
    (biasedOutputs, updatesVariables, gradientDepth) = (0, true, 0)
    (randomCount, randomSeed, randomStep) = (0, 0, 0)
    (barrier, lastBarrier) = (0, 0)
  }
}

/// Records an operation of one operand with one result.
func record<O: Operation>(_ operation: O, _ x: Tensor, scalars: [Scalar] = []) -> Tensor {
  let recorder = Recorder.current
  let results = withUnsafePointer(to: x) {
    recorder.append(operation, .init(start: $0, count: 1), scalars)
  }
  return Tensor(recorder.values[results.lowerBound])
}

/// Records an operation of any operands with one result.
func record<O: Operation>(_ operation: O, _ inputs: Tensor..., scalars: [Scalar] = []) -> Tensor {
  let recorder = Recorder.current
  let results = inputs.withUnsafeBufferPointer { recorder.append(operation, $0, scalars) }
  return Tensor(recorder.values[results.lowerBound])
}

/// Records an operation with several results.
func recordAll<O: Operation>(_ operation: O, _ inputs: [Tensor], scalars: [Scalar] = []) -> [Tensor]
{
  let recorder = Recorder.current
  let results = inputs.withUnsafeBufferPointer { recorder.append(operation, $0, scalars) }
  return results.map { Tensor(recorder.values[$0]) }
}
