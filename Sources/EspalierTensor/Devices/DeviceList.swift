import CKernels
import COpenCL
import Glibc

/// One device of this machine, as `espalier devices` lists it.
public struct DeviceInformation: Sendable {
  /// What to pass to `Device.with(_:_:)`.
  public let device: Device
  /// N of `opencl:N`; nil for the CPU.
  public let index: Int?
  /// The product's name.
  public let name: String
  /// `cpu`, `gpu`, `accelerator` or `other`.
  public let kind: String
  /// The driver with its version.
  public let driver: String
  /// The OpenCL version that the device has, such as `OpenCL 3.0 PoCL`; empty for the CPU.
  public let version: String
  /// The device's memory.
  public let memoryBytes: Int
  /// Cores, multiprocessors.
  public let computeUnits: Int
  /// Whether `auto` takes this device.
  public let isAuto: Bool
}

/// The devices of this machine.
public enum DeviceList {
  /// All devices: the CPU, then the OpenCL devices in the order of their numbers.
  public static func all() -> [DeviceInformation] {
    let described = OpenCLBackends.shared.descriptions()
    let auto = described.firstIndex(where: isWorthwhile)
    var list = [cpu(isAuto: auto == nil)]
    for (index, device) in described.enumerated() {
      list.append(
        DeviceInformation(
          device: .openCL(index), index: index, name: text(device.name), kind: kind(device.type),
          driver: "\(text(device.platform)) \(text(device.driver))",
          version: text(device.version), memoryBytes: Int(clamping: device.global_memory),
          computeUnits: Int(device.compute_units), isAuto: index == auto))
    }
    return list
  }

  /// Why there is no OpenCL device, in one sentence; nil where there is one.
  public static func openCLProblem() -> String? { OpenCLBackends.shared.problem() }

  /// The kernels that ran on an OpenCL device so far.
  package static func openCLKernels(of device: Device) -> [String] {
    OpenCLBackends.shared.opened(device)?.usedKernels ?? []
  }

  /// A GPU.
  ///
  /// OpenCL on the CPU, and simulators, are slower than the CPU's own kernels.
  private static func isWorthwhile(_ device: esp_cl_device) -> Bool {
    device.type == Int32(ESP_CL_GPU)
      && device.vendor_kind != Int32(ESP_CL_POCL)
      && device.vendor_kind != Int32(ESP_CL_OCLGRIND)
  }

  private static func kind(_ type: Int32) -> String {
    switch Int(type) {
    case ESP_CL_CPU: "cpu"
    case ESP_CL_GPU: "gpu"
    case ESP_CL_ACCELERATOR: "accelerator"
    default: "other"
    }
  }

  private static func cpu(isAuto: Bool) -> DeviceInformation {
    DeviceInformation(
      device: .cpu, index: nil, name: processorName(), kind: "cpu",
      driver: "own kernels, \(String(cString: esp_instruction_set()))", version: "",
      memoryBytes: sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)),
      computeUnits: sysconf(Int32(_SC_NPROCESSORS_ONLN)), isAuto: isAuto)
  }

  private static func processorName() -> String {
    guard let file = fopen("/proc/cpuinfo", "r") else { return "CPU" }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
      let words = line.withUnsafeBufferPointer { buffer in
        buffer.baseAddress.map { String(cString: $0) } ?? ""
      }
      guard words.hasPrefix("model name"), let colon = words.firstIndex(of: ":") else { continue }
      return words[words.index(after: colon)...].split(whereSeparator: \.isWhitespace)
        .joined(separator: " ")
    }
    return "CPU"
  }

  static func text(_ string: UnsafePointer<CChar>?) -> String {
    string.map { String(cString: $0) } ?? ""
  }
}

extension Device {
  /// The fastest kind of device here: the first GPU, else the CPU.
  public static var auto: Device { DeviceList.all().first(where: \.isAuto)?.device ?? .cpu }

  /// The device that `cpu`, `auto` or `opencl:N` names.
  public init(named name: String) throws(DeviceError) {
    switch name {
    case "cpu": self = .cpu
    case "auto": self = .auto
    default:
      guard name.hasPrefix("opencl:"), let index = Int(name.dropFirst(7)), index >= 0,
        index < OpenCLBackends.shared.descriptions().count
      else { throw OpenCLBackends.shared.noSuchDevice(name) }
      self = .openCL(index)
    }
  }

  /// Most bytes of device memory that were in use at a time; 0 for the CPU.
  public var peakBytes: Int { OpenCLBackends.shared.opened(self)?.byteCounts.peak ?? 0 }
}
