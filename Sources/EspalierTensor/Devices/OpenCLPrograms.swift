import CKernels
import COpenCL

/// A program's OpenCL kernels.
struct OpenCLKernels {
  /// The device they belong to.
  let context: OpaquePointer
  /// For each of the program's calls, its steps.
  var calls: [Range<Int>] = []
  var steps: [(kernel: OpaquePointer, items: UInt64)] = []
  /// Room for the rows, each launch's at a multiple of their size.
  var stagingBytes = 0
}

/// The kernels of one device, built from the embedded sources at first use.
final class OpenCLPrograms {
  private let context: OpaquePointer
  /// Without the fused kernels, and of these alone: they take seconds to compile, and few devices
  /// and models use them.
  private var programs: (plain: OpaquePointer?, fused: OpaquePointer?)
  private var kernels: [String: OpaquePointer] = [:]

  init(_ context: OpaquePointer) { self.context = context }

  var used: [String] { kernels.keys.sorted() }

  func kernels(of program: Program) throws(DeviceError) -> OpenCLKernels {
    if let known = program.openCLKernels, known.context == context { return known }
    var found = OpenCLKernels(context: context)
    for call in program.openCLCalls {
      let first = found.steps.count
      for step in call.steps {
        found.steps.append((try kernel(step.kernel ?? ""), UInt64(max(step.items, 0))))
      }
      found.calls.append(first..<found.steps.count)
    }
    found.stagingBytes = program.launches.reduce(0) {
      $0 + Int($1.rowBytes) * (Int($1.rowCount) + 1)
    }
    program.openCLKernels = found
    return found
  }

  private func kernel(_ name: String) throws(DeviceError) -> OpaquePointer {
    if let known = kernels[name] { return known }
    let program = try name.contains(Self.fusedStem) ? fusedProgram() : plainProgram()
    let error = CMessage()
    var kernel: OpaquePointer?
    let status = esp_cl_kernel_named(program, name, &kernel, error.buffer, error.capacity)
    guard status == 0, let kernel else { throw .failed(operation: name, reason: error.text) }
    kernels[name] = kernel
    return kernel
  }

  private static let fusedStem = "relu_depthwise_pointwise"

  private func plainProgram() throws(DeviceError) -> OpaquePointer {
    if let program = programs.plain { return program }
    let program = try build("") { !$0.contains(Self.fusedStem) }
    programs.plain = program
    return program
  }

  private func fusedProgram() throws(DeviceError) -> OpaquePointer {
    if let program = programs.fused { return program }
    // What they take from other stems comes without those stems' kernels.
    let shared = ["rows.h", "common.cl", "depthwise_conv2d.cl", "batch_norm.cl"]
    let program = try build(" -DESP_FUNCTIONS_ONLY") {
      shared.contains($0) || $0.contains(Self.fusedStem)
    }
    programs.fused = program
    return program
  }

  private func build(_ options: String, of isWanted: (String) -> Bool) throws(DeviceError)
    -> OpaquePointer
  {
    var names: [UnsafePointer<CChar>?] = []
    var texts: [UnsafePointer<CChar>?] = []
    var lengths: [Int] = []
    for index in 0..<esp_opencl_source_count() {
      guard let name = esp_opencl_source_name(index), isWanted(String(cString: name)) else {
        continue
      }
      var length = 0
      names.append(name)
      texts.append(esp_opencl_source_text(index, &length))
      lengths.append(length)
    }
    var program: OpaquePointer?
    let log = CMessage(capacity: 8192)
    // The CPU's kernels flush denormals too.
    let status = esp_cl_build(
      context, names, texts, lengths, Int32(names.count), "-cl-denorms-are-zero" + options,
      &program, log.buffer, log.capacity)
    guard status == 0, let program else {
      let line = log.text.split(separator: "\n").first { $0.contains("error") }
      throw .failed(
        operation: "building the OpenCL kernels",
        reason: line.map(String.init) ?? String(cString: esp_cl_status_name(status)))
    }
    return program
  }
}

/// Room for a sentence that a C function writes.
final class CMessage {
  let buffer: UnsafeMutablePointer<CChar>
  let capacity: Int

  init(capacity: Int = 1024) {
    self.capacity = capacity
    buffer = .allocate(capacity: capacity)
    buffer[0] = 0
  }

  deinit { buffer.deallocate() }

  var text: String { String(cString: buffer) }
}
