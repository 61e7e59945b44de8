import COpenCL

/// The OpenCL devices of this process, opened at first use.
final class OpenCLBackends: @unchecked Sendable {
  static let shared = OpenCLBackends()

  func backend(_ device: Device) throws(DeviceError) -> any Backend {
    throw .noSuchDevice("\(device)", available: "cpu")
  }
}
