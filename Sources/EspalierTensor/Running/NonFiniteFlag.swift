/// Raised on its device by a gradient norm that is not finite; until it is read, updates write nothing.
///
/// What trains on one thread and device shares it: all optimizers, and the running statistics.
package final class NonFiniteFlag {
  /// One float, not 0 where raised.
  ///
  /// Kernels write it without a new version: the latest counts.
  let variable: Variable
  /// How often the flag was found raised.
  package private(set) var findings = 0

  private init(on device: Device) throws(DeviceError) {
    variable = try Device.with(device) {
      Result { () throws(DeviceError) in try Variable([0] as [Float], shape: [1]) }
    }.get()
  }

  /// The flag of this thread's trainings on a device; made where none lives.
  package static func shared(on device: Device) throws(DeviceError) -> NonFiniteFlag {
    let state = ThreadState.current
    if let flag = state.flags[device]?.flag { return flag }
    let flag = try NonFiniteFlag(on: device)
    state.flags[device] = ThreadState.Flag(flag: flag)
    return flag
  }

  /// What an update outside an optimizer reads: the flag, or zero where nothing could raise one.
  static func tensor(on device: Device) -> Tensor {
    let state = ThreadState.current
    if let flag = state.flags[device]?.flag { return flag.variable.tensor }
    if let known = state.lowered[device] { return Tensor(known) }
    let value = Value(type: TensorType([1]), device: device)
    value.isAbsent = true
    state.lowered[device] = value
    return Tensor(value)
  }

  /// Whether the flag was raised; lowers it.
  package func take() throws(DeviceError) -> Bool {
    let raised: [Float] = try variable.scalars()
    guard raised[0] != 0 else { return false }
    try variable.assign([0] as [Float])
    findings += 1
    return true
  }
}
