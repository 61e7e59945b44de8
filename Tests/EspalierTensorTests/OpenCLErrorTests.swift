import EspalierTensor
import Glibc
import Synchronization
import Testing

@Suite("What OpenCL devices refuse and say", .needsOpenCL)
struct OpenCLErrorTests {
  @Test("An operation without a kernel says so once and gives the right result")
  func fallback() async {
    // In a process of its own: another test may have caused the note already.
    await #expect(processExitsWith: .success) {
      let notes = Notes()
      DeviceNotes.handler = { notes.append($0) }
      try OpenCL.run {
        let x = try Tensor([1, 4, 9] as [Double])
        for _ in 0..<3 {
          let y = try step { sqrt(x) + 1 }
          guard try y.scalars(as: Double.self) == [2, 3, 4] else {
            throw Unexpected(text: "result")
          }
        }
        let variable = try Variable([1, 2] as [Double], shape: [2])
        let found = try valueAndGradient(wrt: [variable]) { (variable.tensor * 3).sum() }
        guard try found.gradients[variable]?.scalars(as: Double.self) == [3, 3] else {
          throw Unexpected(text: "gradient")
        }
      }
      let about = notes.all.filter { $0.contains(" unary ") }
      guard about == ["opencl:0 has no kernel for unary as it is used: it runs on the CPU"] else {
        throw Unexpected(text: "\(notes.all)")
      }
    }
  }

  @Test("Running out of memory is an error that names the bytes, and leaves the device usable")
  func outOfMemory() throws {
    let list = DeviceList.all()
    let memory = try #require(list.first { $0.device == OpenCL.device }).memoryBytes
    try OpenCL.run {
      let x = try Tensor([1, 2] as [Float])
      // Together more than the device has; where one is more than it gives at once, the first
      // fails.
      let count = memory / 8_000_000_000 + 1
      let error = #expect(throws: DeviceError.self) {
        try step { (0..<count).map { Tensor(repeating: Float($0), shape: [2_000_000_000]) } }
      }
      guard case .outOfMemory(let wanted, let free, let largest)? = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(wanted >= 8_000_000_000 && free < wanted && largest.contains("opencl:0"))
      #expect(try (x + 1).scalars() == [2, 3])
    }
  }

  @Test("Names of devices are read; what does not exist is an error with what does")
  func names() throws {
    #expect(try Device(named: "cpu") == .cpu)
    #expect(try Device(named: "opencl:0") == OpenCL.device)
    let list = DeviceList.all()
    #expect(list.first?.device == .cpu && list.first?.index == nil)
    #expect(list.dropFirst().map(\.index) == Array(0..<(list.count - 1)))
    #expect(list.filter(\.isAuto).map(\.device) == [try Device(named: "auto")])
    for name in ["opencl:99", "opencl:-1", "opencl:x", "gpu", "", "opencl:99999999999999999999"] {
      let error = #expect(throws: DeviceError.self) { try Device(named: name) }
      #expect(error.map { "\($0)" }?.contains("available: cpu, opencl:0 (") == true)
    }
    #expect(throws: DeviceError.self) {
      try Device.with(.openCL(99)) { try Tensor([1] as [Float]) }
    }
  }

  @Test("PoCL is never chosen by itself")
  func automatic() throws {
    let chosen = try #require(DeviceList.all().first { $0.isAuto })
    #expect(chosen.device.isCPU || chosen.kind == "gpu")
  }

  @Test("A folder without drivers, and one that names a missing library, are told apart")
  func drivers() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder.made()
      defer { folder.remove() }
      setenv("OCL_ICD_VENDORS", folder.path, 1)
      try requireProblem("\(folder.path) has no .icd file")
    }
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder.made()
      defer { folder.remove() }
      try folder.write("/nowhere/libdriver.so\n", to: "some.icd")
      setenv("OCL_ICD_VENDORS", folder.path, 1)
      try requireProblem("some.icd names /nowhere/libdriver.so, which cannot be opened")
    }
  }
}

private func requireProblem(_ text: String) throws {
  let problem = DeviceList.openCLProblem() ?? "none"
  guard problem.contains(text) else { throw Unexpected(text: problem) }
  do {
    _ = try Device(named: "opencl:0")
  } catch {
    guard "\(error)".contains(text) else { throw Unexpected(text: "\(error)") }
    return
  }
  throw Unexpected(text: "no error")
}

private final class Notes: Sendable {
  private let list = Mutex<[String]>([])
  var all: [String] { list.withLock { $0 } }
  func append(_ note: String) { list.withLock { $0.append(note) } }
}
