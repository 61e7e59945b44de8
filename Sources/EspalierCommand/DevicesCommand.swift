import ArgumentParser
import Espalier
import EspalierTensor

struct DevicesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "devices", abstract: "The CPU and every OpenCL device.",
    discussion: "Example: espalier devices")

  @Flag(help: "Print one line of JSON.") var json = false

  func run() {
    let devices = DeviceList.all()
    if let problem = DeviceList.openCLProblem() {
      Console.note("no OpenCL device: \(problem); see `espalier doctor`")
    }
    Console.output(
      json
        ? JSONValue.array(devices.map(\.json)).compactText : DeviceInformation.table(of: devices))
  }
}

extension DeviceInformation {
  /// As `devices --json` lists it.
  var json: JSONValue {
    .object([
      "index": index.map { .integer($0) } ?? .null, "name": .string(name), "kind": .string(kind),
      "driver": .string(driver), "memory_bytes": .integer(memoryBytes),
      "compute_units": .integer(computeUnits), "auto": .bool(isAuto),
    ])
  }

  /// Devices for people, one a row.
  static func table(of devices: [DeviceInformation]) -> String {
    var table = Table(["device", "name", "kind", "driver", "memory", "units", ""])
    for device in devices {
      table.add([
        "\(device.device)", device.name, device.kind, device.driver,
        "\(device.memoryBytes >> 20) MiB", "\(device.computeUnits)", device.isAuto ? "auto" : "",
      ])
    }
    return table.text
  }
}

extension Device {
  /// Throws where the device cannot be used at all.
  func probe() throws {
    try Device.with(self) { _ = try Tensor([Float(1)]).scalars() as [Float] }
  }
}
