import EspalierNN
import Foundation
import Testing

/// What one run of the built binary gave.
struct CommandResult {
  var code: Int32
  /// Whether a signal ended it, which no input may cause.
  var isKilled: Bool
  var output: String
  var errors: String

  var lastErrorLine: String {
    errors.split(separator: "\n").last.map(String.init) ?? ""
  }

  /// The last line of standard output as JSON.
  func json() throws -> JSONObject {
    guard case .object(let object) = try jsonValue() else { throw NotJSON(text: output) }
    return object
  }

  func jsonValue() throws -> JSONValue {
    let lines = output.split(separator: "\n")
    guard let last = lines.last else { throw NotJSON(text: output) }
    return try JSONValue(parsing: Array(last.utf8))
  }

  struct NotJSON: Error { let text: String }
}

/// Runs the built `espalier` in a folder of its own.
final class CommandRunner {
  let folder: String

  init() throws {
    folder = NSTemporaryDirectory() + "espalier-command-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  /// The binary beside the test bundle.
  static let binary: String = {
    let bundle =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    let beside = (bundle as NSString).deletingLastPathComponent + "/espalier"
    if FileManager.default.isExecutableFile(atPath: beside) { return beside }
    var root = URL(fileURLWithPath: "\(#filePath)")
    for _ in 0..<3 { root.deleteLastPathComponent() }
    return root.path + "/.build/debug/espalier"
  }()

  func path(_ name: String) -> String { folder + "/" + name }

  func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path(name)))
  }

  /// The step of a run's newest checkpoint; 0 before the first.
  func step(of folder: String) -> Int {
    guard case .string(let text)? = try? object("\(folder)/checkpoint.json")["step"] else {
      return 0
    }
    return Int(text) ?? 0
  }

  /// A file as a JSON mapping.
  func object(_ name: String) throws -> JSONObject {
    guard case .object(let object) = try JSONValue(parsing: Array(bytes(name))) else {
      throw CommandResult.NotJSON(text: name)
    }
    return object
  }

  func write(_ text: String, to name: String) throws {
    try text.write(toFile: path(name), atomically: true, encoding: .utf8)
  }

  func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

  /// Starts the binary, perhaps under a shell's preparation such as `ulimit`.
  func start(_ arguments: [String], shell: String? = nil) throws -> RunningCommand {
    let process = Process()
    if let shell {
      process.executableURL = URL(fileURLWithPath: "/bin/bash")
      process.arguments =
        ["-c", "\(shell); exec \"$0\" \"$@\"", CommandRunner.binary] + arguments
    } else {
      process.executableURL = URL(fileURLWithPath: CommandRunner.binary)
      process.arguments = arguments
    }
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    return try RunningCommand(process, folder: folder)
  }

  /// Runs the binary to its end.
  @discardableResult
  func run(_ arguments: [String], shell: String? = nil) throws -> CommandResult {
    try start(arguments, shell: shell).wait()
  }

  @discardableResult
  func run(_ line: String) throws -> CommandResult {
    try run(line.split(separator: " ").map(String.init))
  }

  /// Runs bad input: code 1 or 2, one line that names what is wrong, no trace, nothing on standard
  /// output.
  func expectFailure(
    _ line: String, code: Int32 = 2, naming words: [String],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try run(line)
    #expect(result.code == code, "\(line): \(result.errors)", sourceLocation: sourceLocation)
    expectOneLine(result, naming: words, sourceLocation: sourceLocation)
  }

  func expectOneLine(
    _ result: CommandResult, naming words: [String],
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(!result.isKilled, "\(result.errors)", sourceLocation: sourceLocation)
    #expect(result.lastErrorLine.hasPrefix("espalier: "), sourceLocation: sourceLocation)
    for word in words {
      #expect(
        result.lastErrorLine.contains(word), "\(result.lastErrorLine)",
        sourceLocation: sourceLocation)
    }
    for trace in ["Fatal error", "Thread 0", "Stack dump", " at /"] {
      #expect(!result.errors.contains(trace), "\(result.errors)", sourceLocation: sourceLocation)
    }
  }
}

/// A binary at work, its output in files so that no pipe can fill up.
final class RunningCommand {
  let process: Process
  private let outputPath: String
  private let errorPath: String

  init(_ process: Process, folder: String) throws {
    self.process = process
    let name = folder + "/." + UUID().uuidString
    (outputPath, errorPath) = (name + ".out", name + ".err")
    for path in [outputPath, errorPath] {
      FileManager.default.createFile(atPath: path, contents: nil)
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: outputPath))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errorPath))
    try process.run()
  }

  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// What it has written on standard error.
  var errorsSoFar: String { (try? String(contentsOfFile: errorPath, encoding: .utf8)) ?? "" }

  /// Waits until a condition holds, or the binary ends; one that never holds is a failure.
  func wait(until holds: () -> Bool, sourceLocation: SourceLocation = #_sourceLocation) {
    let start = Date()
    while process.isRunning && !holds() {
      guard Date().timeIntervalSince(start) < 120 else {
        Issue.record("the condition never held: \(errorsSoFar)", sourceLocation: sourceLocation)
        return signal(SIGKILL)
      }
      Thread.sleep(forTimeInterval: 0.002)
    }
  }

  /// Whether the binary has its own handler for a signal.
  func handles(_ number: Int32) -> Bool {
    let status = "/proc/\(process.processIdentifier)/status"
    let text = (try? String(contentsOfFile: status, encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }
    let mask = line?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) } ?? 0
    return mask & 1 << UInt64(number - 1) != 0
  }

  func wait() -> CommandResult {
    process.waitUntilExit()
    defer {
      for path in [outputPath, errorPath] { try? FileManager.default.removeItem(atPath: path) }
    }
    return CommandResult(
      code: process.terminationStatus, isKilled: process.terminationReason == .uncaughtSignal,
      output: (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? "",
      errors: (try? String(contentsOfFile: errorPath, encoding: .utf8)) ?? "")
  }
}

/// A search that takes seconds in a debug build.
enum Tiny {
  static let space =
    "--space darts --set channels=2 --set cells=1 --set nodes=1 --set auxiliary_weight=0"
  static let data = "--data fashion-mnist-mini --set images=32"
  static let search =
    "search \(space) \(data) --strategy darts --epochs 2 --batch 4 --set evaluations=2 "
    + "--set checkpoint_interval=1"
  static let retrain = "retrain \(space) \(data) --epochs 2 --batch 8 --set test_images=40"
  static let architecture =
    #"{"normal_n2_p0": "skip_connect", "normal_n2_p1": "sep_conv_3x3", "#
    + #""normal_n2_switch": ["normal_n2_p0", "normal_n2_p1"]}"#
}
