import ArgumentParser
import Espalier
import EspalierTensor

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Say why OpenCL devices are missing, and how to get them.",
    discussion: "Example: espalier doctor")

  @Flag(help: "Print one line of JSON.") var json = false

  func run() {
    let findings = OpenCLDiagnosis().findings()
    let devices = DeviceList.all()
    if json {
      let list = findings.map { finding in
        JSONValue.object([
          "part": .string(finding.part), "ok": .bool(finding.remedy == nil),
          "found": .string(finding.found), "remedy": finding.remedy.map { .string($0) } ?? .null,
        ])
      }
      return Console.output(
        JSONValue.object([
          "devices": .array(devices.map(\.json)), "findings": .array(list),
        ]).compactText)
    }
    Console.output(DeviceInformation.table(of: devices))
    Console.output("")
    for finding in findings {
      Console.output(
        "\(finding.remedy == nil ? "ok" : "problem"): \(finding.part): \(finding.found)")
      if let remedy = finding.remedy { Console.output("  remedy: \(remedy)") }
    }
  }
}
