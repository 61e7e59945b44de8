/// The parameters and buffers of a model, in flat storage.
///
/// The first set or optimizer that has a parameter moves it there; later ones move nothing, so several
/// may share parameters.
public final class ParameterSet {
  /// Parameters with their paths.
  public let named: [(path: String, parameter: Parameter)]
  /// Buffers with their paths.
  public let namedBuffers: [(path: String, buffer: Buffer)]
  private let all: [Variable]
  private let claim: StorageClaim

  /// The parameters and buffers of `root`.
  /// - Precondition: All lie on one device.
  public init(_ root: Module) throws(DeviceError) {
    named = root.namedParameters
    namedBuffers = root.namedBuffers
    let buffers = namedBuffers.map(\.buffer.variable)
    try FlatStorage.place(named.map(\.parameter.variable), buffers)
    all = named.map(\.parameter.variable) + buffers
    claim = StorageClaim(all)
  }

  /// The parameters' storage, for gradients.
  public var variables: [Variable] { named.map(\.parameter.variable) }

  /// A copy of all parameters and buffers on their device, to `restore` later.
  public func snapshot() throws(DeviceError) -> Snapshot {
    claim.check("a parameter set")
    return try Snapshot(of: all)
  }

  /// Puts a snapshot of this set back, to the last bit.
  public func restore(_ snapshot: Snapshot) throws(DeviceError) {
    claim.check("a parameter set")
    precondition(snapshot.isOf(all), "the snapshot is of another parameter set")
    try snapshot.restore()
  }

  /// Runs `body` with other values in the parameters; afterwards parameters and buffers hold what they
  /// held before, to the last bit, whether `body` throws or not.
  ///
  /// What `body` makes of the values must be read, differentiated or returned by a `step` before it
  /// ends: a tensor that was only recorded can no longer be computed.
  ///
  /// - Parameter values: One tensor for each of `named`, of the parameter's shape.
  public func withValues<R>(_ values: [Tensor], _ body: () throws -> R) throws -> R {
    let before = try snapshot()
    let result = Result {
      try Variable.assign(values, to: variables)
      return try body()
    }
    try restore(before)
    return try result.get()
  }
}

extension Module {
  /// Moves what is left of the model after pruning together, so that the memory of the rest is free.
  ///
  /// Sets and optimizers made before trap when they are used.
  ///
  /// - Parameter earlier: Where its variables lay before that.
  package func compactStorage(after earlier: StorageClaim) throws(DeviceError) {
    try FlatStorage.compact(
      parameters.map(\.variable), namedBuffers.map(\.buffer.variable), after: earlier)
  }
}
