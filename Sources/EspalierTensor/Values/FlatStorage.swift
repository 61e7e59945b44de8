/// Variables of one device side by side in one piece of memory, their gradients in another.
///
/// Optimizers then run over long ranges, and a snapshot is one copy.
public final class FlatStorage {
  /// The variables, in order.
  public let variables: [Variable]
  let device: Device
  let values: Buffer
  let gradients: Buffer
  /// Bytes in use, the last variable's end.
  public let byteCount: Int

  /// Moves float32 variables into flat storage.
  /// - Precondition: All lie on one device and are float32.
  public init(_ variables: [Variable]) throws(DeviceError) {
    self.variables = variables
    device = variables.first?.device ?? Device.current
    var offsets: [Int] = []
    var end = 0
    for variable in variables {
      precondition(
        variable.device == device && variable.type.dtype == .float32,
        "flat storage: variable \(variable.type) on \(variable.device), the first is on \(device)")
      offsets.append(end)
      // Ranges begin on a cache line; the gaps stay zero.
      end += (variable.type.byteCount + 63) & ~63
    }
    byteCount = end
    let backend = try Engine.shared.backend(device)
    values = try backend.pool.make(max(end, 64), on: backend)
    gradients = try backend.pool.make(max(end, 64), on: backend)
    let zeros = [UInt8](repeating: 0, count: max(end, 64))
    try Tensor.write(zeros, to: Slice(buffer: values, byteOffset: 0), backend)
    try Tensor.write(zeros, to: Slice(buffer: gradients, byteOffset: 0), backend)
    for (variable, offset) in zip(variables, offsets) {
      let bytes: [Float] = try variable.tensor.storedElements()
      let slice = Slice(buffer: values, byteOffset: offset)
      try Tensor.write(bytes, to: slice, backend)
      variable.move(to: slice)
      variable.gradientSlice = Slice(buffer: gradients, byteOffset: offset)
    }
  }

  /// A copy of all values, to `restore` later.
  public func snapshot() throws(DeviceError) -> [Float] {
    var bytes = [Float](repeating: 0, count: byteCount / 4)
    let backend = values.backend
    let slice = Slice(buffer: values, byteOffset: 0)
    let result = bytes.withUnsafeMutableBytes { target -> Result<Void, DeviceError> in
      do throws(DeviceError) {
        return .success(try backend.read(slice, into: target))
      } catch { return .failure(error) }
    }
    try result.get()
    return bytes
  }

  /// Puts the values of a snapshot back.
  public func restore(_ snapshot: [Float]) throws(DeviceError) {
    precondition(snapshot.count == byteCount / 4, "the snapshot is of another storage")
    try Executor.finishBeforeWrite()
    try Tensor.write(snapshot, to: Slice(buffer: values, byteOffset: 0), values.backend)
    for variable in variables { variable.touch() }
  }
}
