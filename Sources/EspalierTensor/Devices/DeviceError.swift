/// What a device could not do.
///
/// The message names the first operation that failed.
public enum DeviceError: Error, CustomStringConvertible {
  /// Memory ran out before anything was launched; all state is intact.
  case outOfMemory(wanted: Int, free: Int, largest: String)
  /// A device that does not exist, with those that do.
  case noSuchDevice(String, available: String)
  /// An OpenCL call or a kernel build failed.
  case failed(operation: String, reason: String)
  /// Training produced a gradient that is not finite.
  case notFinite(step: Int)

  /// One line for people.
  public var description: String {
    switch self {
    case .outOfMemory(let wanted, let free, let largest):
      "out of memory: wanted \(wanted) bytes, \(free) free; largest tensors: \(largest)"
    case .noSuchDevice(let name, let available): "no device \(name); available: \(available)"
    case .failed(let operation, let reason): "\(operation): \(reason)"
    case .notFinite(let step): "the gradient is not finite at step \(step)"
    }
  }
}
