import Synchronization

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

  private static let lastEpoch = Atomic<UInt64>(0)
  static func nextEpoch() -> UInt64 { lastEpoch.wrappingAdd(1, ordering: .relaxed).newValue }

  let kind: Kind
  /// What is known of operations recorded before.
  let operations: KnownOperations
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
    precondition(barrier % 2 == 0, "a custom gradient is evaluated inside another's evaluation")
    barrier += 1
    defer { barrier += 1 }
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

  // MARK: Cuts

  func mark(cut: Bool, identity: UInt64 = 0) {
    // Inside a nested gradient nothing is cut.
    guard gradientDepth < 2, kind != .planning else { return }
    if let last = marks.last, last.position == Int32(records.count), last.isCut || !cut {
      // What begins at a cut is named by the last of several, whether the others hold records or not.
      if cut && identity != 0 { marks[marks.count - 1].identity = identity }
      return
    }
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
    barrier = 0
  }
}
