import ArgumentParser
import Espalier

struct DevicesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "devices", abstract: "The CPU and every OpenCL device.",
    discussion: "Example: espalier devices")

  @Flag(help: "Print one line of JSON.") var json = false

  func run() {
    let devices = InstalledDevices.all()
    if json {
      let list = devices.map { device in
        JSONValue.object([
          "index": device.index.map { .integer($0) } ?? .null, "name": .string(device.name),
          "kind": .string(device.kind), "driver": .string(device.driver),
          "memory_bytes": .integer(device.memoryBytes),
          "compute_units": .integer(device.computeUnits), "auto": .bool(device.isAutomatic),
        ])
      }
      return Console.output(JSONValue.array(list).compactText)
    }
    var table = Table(["device", "name", "kind", "driver", "memory", "units", ""])
    for device in devices {
      table.add([
        device.index.map { "opencl:\($0)" } ?? "cpu", device.name, device.kind, device.driver,
        "\(device.memoryBytes >> 20) MiB", "\(device.computeUnits)",
        device.isAutomatic ? "auto" : "",
      ])
    }
    Console.output(table.text)
  }
}
