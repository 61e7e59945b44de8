/// Tensors that a closure hands out: what is stored when a step or a gradient ends.
public protocol TensorPack {
  /// All tensors of the pack, in a fixed order.
  var tensors: [Tensor] { get }
}

extension Tensor: TensorPack {
  /// The tensor itself.
  public var tensors: [Tensor] { [self] }
}

extension Array: TensorPack where Element: TensorPack {
  /// The tensors of all elements, in order.
  public var tensors: [Tensor] { flatMap(\.tensors) }
}

extension Optional: TensorPack where Wrapped: TensorPack {
  /// The tensors of the value, or none.
  public var tensors: [Tensor] { self?.tensors ?? [] }
}

/// The tensors of a dictionary in the order of its keys.
extension Dictionary: TensorPack where Key == String, Value == Tensor {
  /// The values, by sorted key.
  public var tensors: [Tensor] { keys.sorted().compactMap { self[$0] } }
}

/// What random operations draw from: a seed and the number of the step.
public struct RandomState: Hashable, Sendable, Codable {
  /// The run's seed.
  public var seed: UInt64
  /// The step's number; operations within a step are counted by the recorder.
  public var step: UInt32

  /// A state for one step.
  public init(seed: UInt64, step: UInt32 = 0) {
    self.seed = seed
    self.step = step
  }
}

/// Where a step is in its random numbers.
///
/// Passes that must drop the same units, such as the two sides of a finite difference, draw from the
/// same place.
public struct RandomPosition: Sendable {
  private let count: UInt32

  /// The place from which the next random operation draws.
  public static var current: RandomPosition {
    RandomPosition(count: Recorder.current.randomCount)
  }

  /// Runs `body` with the random numbers from this place on; what comes after it draws none that
  /// were drawn before.
  public func replay<R>(_ body: () throws -> R) rethrows -> R {
    let recorder = Recorder.current
    let reached = recorder.randomCount
    recorder.randomCount = count
    defer { recorder.randomCount = max(recorder.randomCount, reached) }
    return try body()
  }
}

/// Records `body` as one step and runs it: what it returns is stored, everything else is forgotten.
///
/// - Parameter random: What dropout and noise draw from.
/// - Throws: What `body` throws, and `DeviceError`.
@discardableResult
public func step<R: TensorPack>(
  random: RandomState = RandomState(seed: 0), _ body: () throws -> R
) throws -> R {
  let outer = Recorder.current
  precondition(outer.kind == .immediate, "a step cannot begin inside a step or a gradient rule")
  try Executor.flushImmediate(outer)
  return try Recorder.withStep { recorder in
    recorder.randomSeed = random.seed
    recorder.randomStep = random.step
    let pack = try body()
    try recorder.keep(pack)
    return pack
  }
}

/// Records `body` as one step and runs what updates in it need.
public func step(random: RandomState = RandomState(seed: 0), _ body: () throws -> Void) throws {
  _ = try step(random: random) { () -> [Tensor] in
    try body()
    return []
  }
}

extension Recorder {
  /// Stores the tensors of a pack.
  func keep(_ pack: some TensorPack) throws(DeviceError) {
    let numbers = pack.tensors.filter { $0.value.slice == nil }.map { number(of: $0.value) }
    try Executor.execute(self, demanded: numbers, gradient: nil)
  }
}

extension Tensor {
  /// Makes sure the tensor is stored, running what it needs.
  func store() throws(DeviceError) -> Slice {
    value.contents?.requireLatest(value)
    if let slice = value.slice { return slice }
    let recorder = Recorder.current
    precondition(
      value.epoch == recorder.epoch,
      "\(value.name) was not a result of its step; return it from step { } to keep it")
    if recorder.kind == .immediate {
      try Executor.flushImmediate(recorder)
    } else {
      precondition(recorder.kind == .step, "values cannot be read inside a gradient rule")
      try Executor.execute(recorder, demanded: [value.number], gradient: nil)
    }
    guard let slice = value.slice else { preconditionFailure("\(value.name) was not stored") }
    return slice
  }
}
