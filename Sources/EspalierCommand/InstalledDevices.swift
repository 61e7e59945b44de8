import Espalier
import EspalierTensor
import Foundation

/// A device as `espalier devices` lists it.
struct InstalledDevice {
  /// The number in `opencl:N`; nil for the CPU.
  var index: Int?
  var name: String
  var kind: String
  var driver: String
  var memoryBytes: Int
  var computeUnits: Int
  /// Whether `--device auto` takes it.
  var isAutomatic: Bool
}

/// The devices of this machine, and what `--device` names.
enum InstalledDevices {
  /// All devices, the CPU first.
  static func all() -> [InstalledDevice] { [cpu] }

  private static var cpu: InstalledDevice {
    InstalledDevice(
      index: nil, name: processorName, kind: "cpu", driver: "espalier \(CommandLineTool.version)",
      memoryBytes: Int(ProcessInfo.processInfo.physicalMemory),
      computeUnits: ProcessInfo.processInfo.activeProcessorCount, isAutomatic: true)
  }

  private static var processorName: String {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    for line in text.split(separator: "\n") where line.hasPrefix("model name") {
      if let colon = line.firstIndex(of: ":") {
        return String(line[line.index(after: colon)...]).trimmingCharacters(in: .whitespaces)
      }
    }
    return "CPU"
  }

  /// The device of `auto`, `cpu` or `opencl:N`.
  static func named(_ text: String) throws -> Device {
    if text == "cpu" { return .cpu }
    if text == "auto" {
      let index = all().first(where: \.isAutomatic)?.index
      return index.map { Device.openCL($0) } ?? .cpu
    }
    if text.hasPrefix("opencl:"), let index = Int(text.dropFirst(7)), index >= 0 {
      guard index < 1000 else {
        throw DeviceError.noSuchDevice(text, available: "see `espalier devices`")
      }
      return .openCL(index)
    }
    throw UsageError("--device \(text): expected auto, cpu or opencl:N")
  }

  /// Throws where the device cannot be used at all.
  static func probe(_ device: Device) throws {
    try Device.with(device) { _ = try Tensor([Float(1)]).scalars() as [Float] }
  }
}
