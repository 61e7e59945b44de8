/// Where tensors lie and operations run: the CPU, or an OpenCL device by its number in `espalier devices`.
public struct Device: Hashable, Sendable, CustomStringConvertible {
  /// -1 is the CPU, others count OpenCL devices.
  let index: Int16

  /// The CPU with its own vectorised kernels.
  public static let cpu = Device(index: -1)

  /// The n-th OpenCL device, counted from 0 over all platforms.
  public static func openCL(_ index: Int) -> Device { Device(index: Int16(clamping: index)) }

  /// `cpu` or `opencl:0`.
  public var description: String { index < 0 ? "cpu" : "opencl:\(index)" }

  /// Whether this is the CPU device.
  public var isCPU: Bool { index < 0 }

  /// The device that new tensors are made on.
  @TaskLocal public static var current: Device = .cpu

  /// Runs `body` with `device` as the current one.
  public static func with<R>(_ device: Device, _ body: () throws -> R) rethrows -> R {
    try $current.withValue(device, operation: body)
  }
}
