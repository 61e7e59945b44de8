import EspalierNN
import Foundation
import Testing

@testable import EspalierCommand

@Suite("Doctor", .serialized)
struct DoctorTests {
  let runner: CommandRunner

  init() throws {
    runner = try CommandRunner()
    try FileManager.default.createDirectory(
      atPath: runner.path("vendors"), withIntermediateDirectories: true)
  }

  /// A diagnosis of a machine where all is well: a loader, one driver, one device.
  private func sound() throws -> OpenCLDiagnosis {
    var diagnosis = OpenCLDiagnosis()
    // Any library that is always there stands for a driver.
    try runner.write("libm.so.6\n", to: "vendors/some.icd")
    diagnosis.vendors = runner.path("vendors")
    diagnosis.nodes = []
    diagnosis.devices = [("opencl:0 GPU", "OpenCL 1.2 Some")]
    diagnosis.problem = nil
    return diagnosis
  }

  private func problems(_ diagnosis: OpenCLDiagnosis) -> [OpenCLDiagnosis.Finding] {
    diagnosis.findings().filter { $0.remedy != nil }
  }

  /// Expects one problem with its part, words of what was found, and words of the remedy.
  private func expect(
    _ diagnosis: OpenCLDiagnosis, _ part: String, _ words: [String], remedy: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let found = problems(diagnosis)
    #expect(found.map(\.part) == [part], sourceLocation: sourceLocation)
    for word in words {
      #expect(
        found.first?.found.contains(word) == true, "\(found)", sourceLocation: sourceLocation)
    }
    #expect(
      found.first?.remedy?.contains(remedy) == true, "\(found)", sourceLocation: sourceLocation)
  }

  @Test("a sound machine has no problem")
  func nothing() throws {
    #expect(try problems(sound()).isEmpty)
    #expect(try sound().findings().map(\.part) == ["loader", "driver", "device"])
  }

  @Test("each cause is told apart, each with its remedy")
  func causes() throws {
    var diagnosis = try sound()
    diagnosis.loaders = ["libNoSuchLoader.so.1", "libNoSuchLoader.so"]
    expect(diagnosis, "loader", ["libNoSuchLoader.so.1"], remedy: "ocl-icd-libopencl1")
    diagnosis.loaders = ["libm.so.6"]
    expect(diagnosis, "loader", ["too old"], remedy: "ocl-icd-libopencl1")

    diagnosis = try sound()
    try runner.write("/nowhere/libdriver.so\n", to: "vendors/some.icd")
    expect(diagnosis, "driver", ["some.icd", "/nowhere/libdriver.so"], remedy: "some.icd")
    try runner.write("\n", to: "vendors/some.icd")
    expect(diagnosis, "driver", ["some.icd names no library"], remedy: "some.icd")
    try FileManager.default.removeItem(atPath: runner.path("vendors/some.icd"))
    expect(diagnosis, "drivers", ["has no .icd file"], remedy: "driver")
    diagnosis.vendors = runner.path("none")
    expect(diagnosis, "drivers", ["there is no"], remedy: "driver")

    diagnosis = try sound()
    diagnosis.nodes = ["/dev/null"]
    diagnosis.allows = { path, _ in path != "/dev/null" }
    expect(diagnosis, "permission", ["no permission for /dev/null"], remedy: "usermod -aG root")
    diagnosis.allows = { path, _ in !path.hasSuffix("some.icd") }
    expect(diagnosis, "driver", ["no permission", "some.icd"], remedy: "chmod")

    diagnosis = try sound()
    diagnosis.devices = [("opencl:0 GPU", "OpenCL 1.1 Some"), ("opencl:1 GPU", "OpenCL 3.0 Some")]
    expect(diagnosis, "device", ["opencl:0", "too old"], remedy: "update")

    diagnosis = try sound()
    diagnosis.devices = []
    diagnosis.problem = "1 OpenCL driver(s), but no device"
    expect(diagnosis, "devices", ["but no device"], remedy: "driver")
  }

  @Test("the verb tells a missing and a broken driver apart, and lists the CPU all the same")
  func verb() throws {
    func doctor(_ arguments: [String] = []) throws -> CommandResult {
      try runner.run(["doctor"] + arguments, shell: "export OCL_ICD_VENDORS=\"$PWD/vendors\"")
    }
    let empty = try doctor()
    #expect(empty.code == 0, "\(empty.errors)")
    #expect(empty.output.contains("own kernels"))
    #expect(empty.output.contains("problem: drivers: "), "\(empty.output)")
    try runner.write("/nowhere/libdriver.so\n", to: "vendors/broken.icd")
    let broken = try doctor(["--json"]).json()
    guard case .array(let devices)? = broken["devices"],
      case .array(let findings)? = broken["findings"]
    else {
      Issue.record("\(broken)")
      return
    }
    #expect(devices.count == 1)
    let texts = findings.compactMap { value -> String? in
      guard case .object(let finding) = value, finding["ok"] == .bool(false),
        case .string(let text)? = finding["found"]
      else { return nil }
      return text
    }
    #expect(texts.contains { $0.contains("broken.icd names a missing library") }, "\(findings)")
    // What needs a device says the same in its one line.
    let result = try runner.run(
      "search \(Tiny.space) \(Tiny.data) --strategy darts --device opencl:0 --output out"
        .split(separator: " ").map(String.init),
      shell: "export OCL_ICD_VENDORS=\"$PWD/vendors\"")
    #expect(result.code == 2)
    runner.expectOneLine(result, naming: ["opencl:0", "broken.icd"])
    #expect(!runner.has("out"))
  }
}
