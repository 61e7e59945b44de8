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
    if let problem = DeviceList.openCLProblem() { Console.note("no OpenCL device: \(problem)") }
    if json {
      let list = devices.map { device in
        JSONValue.object([
          "index": device.index.map { .integer($0) } ?? .null, "name": .string(device.name),
          "kind": .string(device.kind), "driver": .string(device.driver),
          "memory_bytes": .integer(device.memoryBytes),
          "compute_units": .integer(device.computeUnits), "auto": .bool(device.isAuto),
        ])
      }
      return Console.output(JSONValue.array(list).compactText)
    }
    var table = Table(["device", "name", "kind", "driver", "memory", "units", ""])
    for device in devices {
      table.add([
        "\(device.device)", device.name, device.kind, device.driver,
        "\(device.memoryBytes >> 20) MiB", "\(device.computeUnits)", device.isAuto ? "auto" : "",
      ])
    }
    Console.output(table.text)
  }
}

extension Device {
  /// Throws where the device cannot be used at all.
  func probe() throws {
    try Device.with(self) { _ = try Tensor([Float(1)]).scalars() as [Float] }
  }
}
