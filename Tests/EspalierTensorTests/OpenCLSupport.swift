import EspalierTensor
import Glibc
import Testing

/// The OpenCL device of the tests: PoCL on most machines.
enum OpenCL {
  static let device = Device.openCL(0)
  /// Why there is none, or nil.
  static let problem = DeviceList.openCLProblem()
  static let comment: Comment = "no OpenCL device: \(problem ?? "")"

  /// Runs `body` on the OpenCL device.
  static func run<R>(_ body: () throws -> R) throws -> R { try Device.with(device, body) }
}

extension Trait where Self == ConditionTrait {
  /// Skips where the machine has no OpenCL device.
  static var needsOpenCL: Self { .enabled(if: OpenCL.problem == nil, OpenCL.comment) }
}

/// What a check in a process of its own found.
struct Unexpected: Error {
  let text: String
}

/// A folder for a test's files.
struct TemporaryFolder {
  let path: String

  static func made() throws -> TemporaryFolder {
    var template = Array("/tmp/espalier-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Unexpected(text: "mkdtemp: errno \(errno)") }
    let path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    return TemporaryFolder(path: path)
  }

  func write(_ text: String, to name: String) throws {
    guard let file = fopen("\(path)/\(name)", "w") else {
      throw Unexpected(text: "\(path)/\(name)")
    }
    fputs(text, file)
    fclose(file)
  }

  /// The first 64 KiB of a file; nil where it does not exist.
  func contents(of name: String) -> String? {
    guard let file = fopen("\(path)/\(name)", "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }

  func remove() {
    for name in ["some.icd", "log", "error"] { unlink("\(path)/\(name)") }
    rmdir(path)
  }
}
