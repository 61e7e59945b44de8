import Foundation
import Testing

@Suite("Output", .serialized)
struct OutputTests {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("an existing file is kept unless it has the same contents or --force is given")
  func overwriting() throws {
    try runner.write(Tiny.architecture, to: "a.json")
    let export = "export --space darts --set nodes=1 --architecture a.json --format json -o o.txt"
    try runner.write(
      Tiny.architecture.replacing("normal", with: "reduce"), to: "reduce.json")
    let both =
      String(decoding: try runner.bytes("a.json"), as: UTF8.self).dropLast()
      + ", " + String(decoding: try runner.bytes("reduce.json"), as: UTF8.self).dropFirst()
    try runner.write(String(both), to: "a.json")
    for command in [export, "space export mnist -o o.txt"] {
      try runner.write("mine\n", to: "o.txt")
      try runner.expectFailure(command, naming: ["o.txt", "--force"])
      #expect(try runner.bytes("o.txt") == Data("mine\n".utf8))
      let forced = try runner.run(command + " --force")
      #expect(forced.code == 0, "\(forced.errors)")
      let written = try runner.bytes("o.txt")
      #expect(written != Data("mine\n".utf8))
      #expect(try runner.run(command).code == 0, "the same again is no loss")
      #expect(try runner.bytes("o.txt") == written)
    }
  }

  @Test(
    "a result that cannot be written is a failure",
    arguments: [
      "space list", "space list --json", "space show mnist", "strategies", "devices --json",
      "doctor", "--help", "search --help",
    ])
  func full(line: String) throws {
    let result = try runner.run(
      line.split(separator: " ").map(String.init), shell: "exec > /dev/full")
    #expect(result.code == 1)
    runner.expectOneLine(result, naming: ["standard output", "No space left"])
    let closed = try runner.run(line.split(separator: " ").map(String.init), shell: "exec >&-")
    #expect(closed.code == 1)
    runner.expectOneLine(closed, naming: ["standard output"])
  }

  @Test("a run whose result cannot be printed has its files all the same")
  func fullAfterRun() throws {
    let result = try runner.run(
      (Tiny.search + " --output a").split(separator: " ").map(String.init),
      shell: "exec > /dev/full")
    #expect(result.code == 1)
    runner.expectOneLine(result, naming: ["standard output"])
    #expect(runner.has("a/summary.json"))
    #expect(try runner.run("search --resume --output a").code == 0)
  }

  @Test("a reader that goes away ends the tool quietly")
  func closedPipe() throws {
    // The reader is gone before the tool starts, so that its first line meets a closed pipe.
    let result = try runner.run(
      ["space", "list"], shell: "exec > >(exec true); wait $!")
    #expect(result.code == 0)
    #expect(!result.isKilled)
    #expect(result.errors.isEmpty, "\(result.errors)")
  }

  @Test("a slow reader of a pipe that does not block gets everything")
  func slowReader() throws {
    let whole = try runner.run("space show darts --set channels=2 --json").output
    let process = Process()
    process.executableURL = URL(fileURLWithPath: CommandRunner.binary)
    process.arguments = ["space", "show", "darts", "--set", "channels=2", "--json"]
    let pipe = Pipe()
    let end = pipe.fileHandleForWriting.fileDescriptor
    #expect(fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK) == 0)
    // F_SETPIPE_SZ: less than the text.
    #expect(fcntl(end, 1031, 4096) == 4096)
    #expect(whole.utf8.count > 4096)
    process.standardOutput = pipe
    try process.run()
    // Until the pipe is full and the next write was tried.
    var waiting: CInt = 0
    for _ in 0..<3000 where waiting < 4096 {
      Thread.sleep(forTimeInterval: 0.01)
      _ = ioctl(pipe.fileHandleForReading.fileDescriptor, UInt(FIONREAD), &waiting)
    }
    Thread.sleep(forTimeInterval: 0.2)
    let text = String(
      decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(text == whole)
  }

  @Test("the verbs are listed for one that does not exist")
  func verbs() throws {
    try runner.expectFailure("bogus", naming: ["'bogus'", "search, retrain, evaluate", "doctor"])
    try runner.expectFailure("serach --space darts", naming: ["did you mean search?"])
    try runner.expectFailure("space lost", naming: ["did you mean list?", "show, export"])
  }

  @Test("the examples of every help can be pasted into a shell")
  func examples() throws {
    for verb in [
      "", "search", "retrain", "evaluate", "export", "space", "space list", "space show",
      "space export", "strategies", "devices", "doctor",
    ] {
      let help = try runner.run(verb + " --help").output
      let example = try #require(help.components(separatedBy: "Example:").dropFirst().first)
      let text = example.components(separatedBy: "\n\n")[0]
      // Each word of each command on a line of its own; what is no command fails.
      let shell = Process()
      shell.executableURL = URL(fileURLWithPath: "/bin/bash")
      shell.arguments = ["-ec", "espalier() { printf '%s\\n' \"$@\"; }\n" + text]
      let result = try RunningCommand(shell, folder: runner.folder).wait()
      #expect(result.code == 0, "\(verb): \(result.errors)")
      #expect(result.errors.isEmpty, "\(verb): \(result.errors)")
      #expect(
        result.output.hasPrefix(
          verb.isEmpty ? "search\n" : verb.replacing(" ", with: "\n")), "\(text)")
      #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }
  }
}
