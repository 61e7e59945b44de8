/// One result of a record, or a stored tensor: what `Tensor` refers to.
final class Value {
  let type: TensorType
  let device: Device
  /// Where the elements lie, once stored.
  var slice: Slice?
  /// Whether this is an exact zero that is not stored: an input that a sampled choice left out.
  var isAbsent = false
  /// The record that `number` counts in; 0 before any.
  var epoch: UInt64 = 0
  var number: Int32 = -1
  /// What made the value, for messages.
  var origin: Int32
  /// The variable whose contents this is.
  var variable: Variable?
  /// The memory's history where it is written in place, and the version that this value is.
  var contents: Contents?
  var version = 0

  init(type: TensorType, device: Device, slice: Slice? = nil, origin: Int32 = -1) {
    self.type = type
    self.device = device
    self.slice = slice
    self.origin = origin
  }

  /// `conv2d` or `tensor`, with the shape.
  var name: String {
    (origin < 0 ? "tensor" : type(of: OperationTable.shared[origin] as Any))
      + " \(type.shape)"
  }

  private func type(of operation: Any) -> String {
    (operation as? any Operation).map { Swift.type(of: $0).stem } ?? "tensor"
  }
}

/// An n-dimensional array of numbers; an immutable value.
///
/// Shapes are written `[N, C, H, W]` as in PyTorch; how elements lie in memory is the engine's
/// business. Functions of tensors only record what to do; it is done when a value is read, a `step`
/// ends or an optimizer updates.
public struct Tensor {
  let value: Value

  init(_ value: Value) { self.value = value }

  /// The sizes, outermost first.
  public var shape: Shape { value.type.shape }
  /// The element type.
  public var dtype: DType { value.type.dtype }
  /// Where the tensor lies.
  public var device: Device { value.device }
  /// Number of dimensions.
  public var rank: Int { shape.rank }
  /// Shape and element type.
  public var type: TensorType { value.type }
  /// Whether both are one value, not merely equal.
  package func isSame(as other: Tensor) -> Bool { value === other.value }
}

/// The history of memory that is written in place.
///
/// A write is recorded before it runs; a value is what the memory held after one of the writes, and
/// may be used only while that is the latest.
final class Contents {
  /// Writes recorded so far.
  var recorded = 0
  /// Writes that have run.
  var executed = 0
  /// What lies there, for messages.
  let kind: String
  /// The version that a flush's records, read in order, have come to.
  private var noted = (flush: 0, version: 0)

  init(_ kind: String) { self.kind = kind }

  /// The version that lies there once the records of a flush before the one that asks have run.
  func version(inFlush flush: Int) -> Int { noted.flush == flush ? noted.version : executed }

  /// Notes that a record of a flush writes a version.
  func write(_ version: Int, inFlush flush: Int) { noted = (flush, version) }

  /// A write that has happened, outside any record.
  func write() {
    recorded += 1
    executed = recorded
  }

  func requireLatest(_ value: Value) {
    guard recorded != value.version else { return }
    preconditionFailure(
      "\(value.type.shape): \(kind) from before its last update; use snapshot() to keep one")
  }
}

/// A tensor that updates write in place: parameters, running statistics, optimizer state.
public final class Variable {
  /// Shape and element type.
  public let type: TensorType
  /// Where the variable lies.
  public let device: Device
  private(set) var slice: Slice
  /// The flat storage that `slice` lies in, once the variable was moved there.
  private(set) var storage: FlatStorage?
  /// The latest value, while a record or a handle keeps it: it refers back to the variable.
  private weak var current: Value?
  let contents = Contents("a parameter's value")
  /// Where backward passes leave the gradient, once there was one.
  var gradientSlice: Slice?
  let gradientContents = Contents("a gradient")

  init(type: TensorType, device: Device, slice: Slice) {
    self.type = type
    self.device = device
    self.slice = slice
  }

  /// The contents as a tensor; valid until the next update.
  public var tensor: Tensor {
    if let current, current.version == contents.recorded {
      if current.slice != nil || current.epoch == Recorder.current.epoch { return Tensor(current) }
    }
    // Where the record of a pending update was given up, what ran last counts.
    contents.recorded = contents.executed
    let value = Value(type: type, device: device, slice: slice)
    value.variable = self
    value.contents = contents
    value.version = contents.recorded
    current = value
    return Tensor(value)
  }

  /// Takes the result of a recorded operation that writes this variable in place as its contents.
  func adopt(_ updated: Tensor) {
    contents.recorded += 1
    updated.value.variable = self
    updated.value.contents = contents
    updated.value.version = contents.recorded
    current = updated.value
  }

  /// Zeros on the device of another variable, of its shape and layout: an optimizer's state.
  package convenience init(zerosLike other: Variable) throws(DeviceError) {
    let zeros = [UInt8](repeating: 0, count: other.type.byteCount)
    self.init(
      type: other.type, device: other.device,
      slice: try Tensor.upload(zeros, other.type, on: other.device))
  }

  /// Notes that the contents were written outside any record.
  func touch() {
    contents.write()
    current = nil
  }

  /// Moves the variable into flat storage.
  func move(to slice: Slice, gradient: Slice?, in storage: FlatStorage) {
    self.slice = slice
    self.storage = storage
    gradientSlice = gradient
    touch()
  }
}
