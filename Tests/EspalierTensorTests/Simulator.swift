import CKernels
import COpenCL
import EspalierTensor
import Glibc

/// oclgrind as the only OpenCL driver of a process of its own, with every value in a buffer of its
/// own.
///
/// In a process of its own, before any other use of OpenCL: what loads the library by itself
/// escapes the command `oclgrind`, and drivers are listed once. The log is complete only when it
/// has ended.
enum Simulator {
  private static let driver = "/usr/lib/oclgrind/liboclgrind-rt-icd.so"
  static let isInstalled = access(driver, R_OK) == 0

  private static func folder(_ name: String, _ parent: pid_t) -> TemporaryFolder {
    TemporaryFolder(path: "/tmp/espalier-oclgrind-\(parent)-\(name)")
  }

  /// In the child: runs `body` with the simulator and leaves what it throws for the parent.
  static func run(_ name: String, options: [String] = [], _ body: () throws -> Void) throws {
    try reporting(name) { folder in
      try folder.write("\(driver)\n", to: "some.icd")
      setenv("OCL_ICD_VENDORS", folder.path, 1)
      setenv("OCLGRIND_LOG", "\(folder.path)/log", 1)
      for option in options { setenv("OCLGRIND_\(option)", "1", 1) }
      setenv("ESPALIER_ARENA", "exact", 1)
      let names = DeviceList.all().filter { !$0.device.isCPU }.map(\.name)
      guard names == ["Oclgrind Simulator"] else { throw Unexpected(text: "devices \(names)") }
      try body()
    }
  }

  /// In the child: leaves what `body` throws for the parent.
  static func reporting(_ name: String, _ body: (TemporaryFolder) throws -> Void) throws {
    let folder = folder(name, getppid())
    mkdir(folder.path, 0o700)
    do {
      try body(folder)
    } catch {
      try folder.write("\(error)", to: "error")
      throw error
    }
  }

  /// In the parent, when the child has ended: what the simulator reported and the child threw; a
  /// log that was not made is nil.
  static func findings(_ name: String) -> (log: String?, error: String?) {
    let folder = folder(name, getpid())
    defer { folder.remove() }
    return (folder.contents(of: "log"), folder.contents(of: "error"))
  }
}

/// The names of all embedded kernels, those made by macros too.
func embeddedKernels() -> [String] {
  let stems = [
    "COPY", "FILL", "SELECT", "DW_FORWARD", "DW_BACKWARD", "DW_WEIGHT", "FUSED_FORWARD",
    "FUSED_BACKWARD",
  ]
  let makers = stems.map { "ESP_\($0)(" }
  var names: [String] = []
  for index in 0..<esp_opencl_source_count() {
    for line in String(cString: esp_opencl_source_text(index, nil)).split(separator: "\n") {
      if line.hasPrefix("__kernel void esp_") {
        names.append(String(line.dropFirst(14).prefix { $0 != "(" }))
      } else if let maker = makers.first(where: { line.hasPrefix("\($0)esp_") }) {
        names.append(String(line.dropFirst(maker.count).prefix { $0 != "," }))
      } else if line.hasPrefix("ESP_DW_ALL(") {
        let sizes = line.dropFirst(11).prefix { $0 != ")" }.split { ", ".contains($0) }
        for direction in ["", "_backward_input", "_backward_weight"] {
          names.append("esp_depthwise_conv2d\(direction)_k\(sizes[0])_d\(sizes[1])_s\(sizes[2])")
        }
      } else if line.hasPrefix("ESP_FUSED_"), let end = line.firstRange(of: "WARD_FIXED(") {
        // K, D, S, suffix: the last may be empty.
        let sizes = line[end.upperBound...].split(separator: ",", omittingEmptySubsequences: false)
          .map { $0.filter { $0 != " " } }
        let direction = line.hasPrefix("ESP_FUSED_BACK") ? "_backward" : ""
        names.append(
          "esp_relu_depthwise_pointwise\(direction)_k\(sizes[0])_d\(sizes[1])_s\(sizes[2])\(sizes[3])"
        )
      }
    }
  }
  return names
}

/// One float written behind a buffer of three.
func writeBeyond() throws {
  let text = "__kernel void beyond(__global float *y, __global const int *rows) { y[rows[0]] = 1; }"
  func require(_ status: Int32) throws {
    if status != 0 { throw Unexpected(text: String(cString: esp_cl_status_name(status))) }
  }
  var (context, program, kernel): (OpaquePointer?, OpaquePointer?, OpaquePointer?)
  var buffers: [OpaquePointer?] = [nil, nil]
  try require(esp_cl_open(0, 0, &context, nil, 0))
  try require(esp_cl_buffer_create(context, 12, &buffers[0], nil, 0))
  try require(esp_cl_buffer_create(context, 4, &buffers[1], nil, 0))
  try require(esp_cl_write(context, buffers[1], 0, 4, [Int32(3)], 1))
  try text.withCString { text in
    var (names, texts): ([UnsafePointer<CChar>?], [UnsafePointer<CChar>?]) = ([text], [text])
    var lengths = [strlen(text)]
    try require(esp_cl_build(context, &names, &texts, &lengths, 1, nil, &program, nil, 0))
  }
  try require(esp_cl_kernel_named(program, "beyond", &kernel, nil, 0))
  try require(esp_cl_launch(context, kernel, buffers, 1, buffers[1], 1, 1, 1, 1))
  try require(esp_cl_finish(context))
}
