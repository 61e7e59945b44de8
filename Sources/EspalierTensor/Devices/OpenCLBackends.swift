import COpenCL
import Glibc

/// The OpenCL devices of this process, listed and opened at first use.
final class OpenCLBackends: @unchecked Sendable {
  static let shared = OpenCLBackends()
  /// Held around every call into COpenCL.
  static let lock = Lock()

  private var opened: [Device: OpenCLBackend] = [:]
  private var loaded: String??

  func backend(_ device: Device) throws(DeviceError) -> OpenCLBackend {
    try OpenCLBackends.lock.with { () throws(DeviceError) in
      if let known = opened[device] { return known }
      _ = problem()
      guard let description = esp_cl_device_at(Int32(device.index)) else {
        throw noSuchDevice("\(device)")
      }
      let backend = try OpenCLBackend(device, description.pointee)
      opened[device] = backend
      return backend
    }
  }

  /// The device's backend where it was used already.
  func opened(_ device: Device) -> OpenCLBackend? {
    OpenCLBackends.lock.with { opened[device] }
  }

  func descriptions() -> [esp_cl_device] {
    OpenCLBackends.lock.with {
      guard problem() == nil else { return [] }
      return (0..<esp_cl_device_count()).compactMap { esp_cl_device_at($0)?.pointee }
    }
  }

  /// What the planner may do for a device; the simulator gets what a CPU gets.
  func planningAbilities(of device: Device) -> PlanningAbilities {
    let description = OpenCLBackends.lock.with { esp_cl_device_at(Int32(device.index))?.pointee }
    let isCPU =
      description?.type == Int32(ESP_CL_CPU)
      || description?.vendor_kind == Int32(ESP_CL_OCLGRIND)
    return isCPU ? OpenCLBackend.planningAbilitiesOfCPUs : OpenCLBackend.planningAbilities
  }

  /// Loads OpenCL; why there is no device, or nil.
  func problem() -> String? {
    OpenCLBackends.lock.with {
      if let loaded { return loaded }
      let error = CMessage()
      let status = esp_cl_load(nil, error.buffer, error.capacity)
      let found: String? = status == 0 ? nil : explained(status, error.text)
      loaded = .some(found)
      return found
    }
  }

  func noSuchDevice(_ name: String) -> DeviceError {
    var names = ["cpu"]
    for (index, device) in descriptions().enumerated() {
      names.append("opencl:\(index) (\(DeviceList.text(device.name)))")
    }
    let why = problem().map { "; \($0)" } ?? ""
    return .noSuchDevice(name, available: names.joined(separator: ", ") + why)
  }

  /// Adds which file names a driver that is not there.
  private func explained(_ status: Int32, _ text: String) -> String {
    guard status == Int32(ESP_CL_NO_PLATFORM) else { return text }
    let folder = environmentVariable("OCL_ICD_VENDORS") ?? "/etc/OpenCL/vendors"
    let drivers = OpenCLBackends.drivers(in: folder)
    if drivers.isEmpty { return "no OpenCL driver: \(folder) has no .icd file" }
    let missing = drivers.compactMap { file, library -> String? in
      guard let handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL) else {
        return "\(file) names \(library), which cannot be opened"
      }
      dlclose(handle)
      return nil
    }
    return missing.isEmpty ? text : "no OpenCL driver: " + missing.joined(separator: ", ")
  }

  /// The `.icd` files of a folder with the library that each names.
  private static func drivers(in folder: String) -> [(file: String, library: String)] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var list: [(String, String)] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name.hasSuffix(".icd"), let file = fopen("\(folder)/\(name)", "r") else { continue }
      defer { fclose(file) }
      var line = [CChar](repeating: 0, count: 1024)
      guard fgets(&line, Int32(line.count), file) != nil else { continue }
      let text = line.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
      list.append(("\(folder)/\(name)", String(text.prefix { !$0.isNewline })))
    }
    return list
  }
}
