import EspalierTensor
import Foundation

/// What OpenCL needs, part by part: loader, drivers, permissions, devices.
struct OpenCLDiagnosis {
  /// One part, and what to do where it does not work.
  struct Finding: Equatable {
    let part: String
    let found: String
    /// What to do; nil where the part works.
    let remedy: String?
  }

  /// Names of the loader's library, the usual one first.
  var loaders = ["libOpenCL.so.1", "libOpenCL.so"]
  /// A folder of `.icd` files, or one such file.
  var vendors = ProcessInfo.processInfo.environment["OCL_ICD_VENDORS"] ?? "/etc/OpenCL/vendors"
  /// Files through which drivers reach GPUs.
  var nodes = OpenCLDiagnosis.deviceNodes()
  /// Whether this process may use a file.
  var allows: (String, CInt) -> Bool = { access($0, $1) == 0 }
  /// Name and version, such as `OpenCL 3.0 PoCL`, of each device.
  var devices = DeviceList.all().compactMap { device in
    device.index.map { ("opencl:\($0) \(device.name)", device.version) }
  }
  /// Why the engine found no device.
  var problem = DeviceList.openCLProblem()

  /// All parts in the order in which they need one another.
  func findings() -> [Finding] {
    var list = [loader()]
    if list[0].remedy == nil { list += drivers() }
    list += permissions()
    list += devices.map { name, version in device(name, version) }
    if let problem, list.allSatisfy({ $0.remedy == nil }) {
      list.append(
        Finding(part: "devices", found: problem, remedy: "update or reinstall the device's driver"))
    }
    return list
  }

  private func loader() -> Finding {
    var reason = ""
    for name in loaders {
      guard let handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL) else {
        if reason.isEmpty { reason = OpenCLDiagnosis.lastLinkError() }
        continue
      }
      // Of OpenCL 1.2, like all that the engine calls.
      guard dlsym(handle, "clEnqueueFillBuffer") != nil else {
        return Finding(
          part: "loader", found: "\(name) is too old: it lacks OpenCL 1.2",
          remedy: "apt install ocl-icd-libopencl1")
      }
      return Finding(part: "loader", found: name, remedy: nil)
    }
    return Finding(
      part: "loader", found: "no OpenCL loader: \(reason)", remedy: "apt install ocl-icd-libopencl1"
    )
  }

  private func drivers() -> [Finding] {
    let install =
      "install the GPU's driver with its OpenCL part (NVIDIA's driver, intel-opencl-icd, "
      + "rocm-opencl-icd, mesa-opencl-icd), or pocl-opencl-icd for OpenCL on the CPU"
    guard FileManager.default.fileExists(atPath: vendors) else {
      return [Finding(part: "drivers", found: "there is no \(vendors)", remedy: install)]
    }
    guard allows(vendors, R_OK) else {
      return [denied("drivers", vendors, remedy: "chmod a+rX \(vendors)")]
    }
    let names =
      (try? FileManager.default.contentsOfDirectory(atPath: vendors)).map { names in
        names.filter { $0.hasSuffix(".icd") }.sorted().map { "\(vendors)/\($0)" }
      } ?? [vendors]
    guard !names.isEmpty else {
      return [Finding(part: "drivers", found: "\(vendors) has no .icd file", remedy: install)]
    }
    return names.map(driver)
  }

  private func driver(_ file: String) -> Finding {
    guard allows(file, R_OK), let text = try? String(contentsOfFile: file, encoding: .utf8) else {
      return denied("driver", file, remedy: "chmod a+r \(file)")
    }
    let library = text.prefix { !$0.isNewline }.trimmingCharacters(in: .whitespaces)
    guard !library.isEmpty else {
      return Finding(
        part: "driver", found: "\(file) names no library",
        remedy: "reinstall the package of \(file), or remove the file")
    }
    guard dlopen(library, RTLD_LAZY | RTLD_LOCAL) != nil else {
      return Finding(
        part: "driver",
        found: "\(file) names a missing library: \(OpenCLDiagnosis.lastLinkError())",
        remedy: "reinstall the driver that owns \(file), or remove the file")
    }
    return Finding(part: "driver", found: "\(file): \(library)", remedy: nil)
  }

  private func permissions() -> [Finding] {
    nodes.filter { !allows($0, R_OK | W_OK) }.map { node in
      let group = OpenCLDiagnosis.group(of: node)
      return denied(
        "permission", node,
        remedy: "sudo usermod -aG \(group) $USER, then log in again (\(node) is of group \(group))")
    }
  }

  private func device(_ name: String, _ version: String) -> Finding {
    let number = version.split(separator: " ").dropFirst().first.flatMap { Double($0) }
    let isOld = number.map { $0 < 1.2 } ?? false
    return Finding(
      part: "device", found: "\(name): \(version)\(isOld ? ", too old" : "")",
      remedy: isOld ? "update the device's driver: kernels need OpenCL 1.2" : nil)
  }

  private func denied(_ part: String, _ path: String, remedy: String) -> Finding {
    Finding(part: part, found: "no permission for \(path)", remedy: remedy)
  }

  private static func lastLinkError() -> String { dlerror().map { String(cString: $0) } ?? "" }

  private static func group(of path: String) -> String {
    var status = stat()
    guard stat(path, &status) == 0, let entry = getgrgid(status.st_gid) else { return "render" }
    return String(cString: entry.pointee.gr_name)
  }

  /// The render nodes and control files of Intel, AMD and NVIDIA GPUs that are there.
  private static func deviceNodes() -> [String] {
    let names = { (folder: String) in
      ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).map {
        "\(folder)/\($0)"
      }
    }
    let nodes =
      names("/dev/dri").filter { $0.contains("renderD") }
      + names("/dev")
      .filter { $0 == "/dev/kfd" || $0.hasPrefix("/dev/nvidia") && !$0.contains("-caps") }
    return nodes.sorted()
  }
}
