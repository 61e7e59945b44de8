import Foundation
import Testing

@Suite("README", .serialized)
struct ReadmeTests {
  let runner: CommandRunner
  private let text: String
  private static let root: URL = {
    var url = URL(fileURLWithPath: "\(#filePath)")
    for _ in 0..<3 { url.deleteLastPathComponent() }
    return url
  }()

  init() throws {
    runner = try CommandRunner()
    text = try String(
      contentsOf: ReadmeTests.root.appendingPathComponent("README.md"), encoding: .utf8)
  }

  /// The text between the first fence of a language and the next fence.
  private func block(_ language: String, containing word: String = "") throws -> String {
    let parts = text.components(separatedBy: "```")
    let bodies = stride(from: 1, to: parts.count, by: 2).map { parts[$0] }
    let body = try #require(
      bodies.first { $0.hasPrefix(language + "\n") && (word.isEmpty || $0.contains(word)) })
    return String(body.dropFirst(language.count + 1))
  }

  @Test("the first Swift block is a program that builds and runs")
  func sample() throws {
    let program = try block("swift")
    let data = "let data = try DataSource.fashionMNISTMini.load(seed: 0)\n"
    #expect(program.contains(data))
    // A debug build would take half an hour over the real images.
    let few = """
      let images = InMemoryDataset(
        bytes: (0..<16 * 784).map { UInt8(truncatingIfNeeded: $0 &* 7) },
        labels: (0..<16).map { Int32($0 % 10) }, channels: 1, height: 28, width: 28, classCount: 10)
      let data = try LoadedData(train: images, test: images)

      """
    let result = try build(program.replacing(data, with: few), andRun: "./sample")
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.output.contains("test accuracy"))
    #expect(runner.has("model/architecture.json"))
  }

  @Test("a space of the user's own has the whole command line")
  func ownSpace() throws {
    let task = "--data fashion-mnist-mini --set channels=2 --set images=32 --epochs 1"
    let result = try build(
      try block("swift", containing: "CommandLineTool.main"),
      with: "|EspalierCommand|ArgumentParser.*",
      andRun: """
        set -e
        ./sample space list
        ./sample space show mine --set channels=3
        ./sample search --space mine --strategy darts \(task) --output a --json
        ./sample retrain --space mine --architecture a/architecture.json \(task) \\
          --set test_images=8 --output b --json
        ./sample search --space min --strategy darts --data synthetic
        """)
    #expect(result.code == 2)
    #expect(result.lastErrorLine.contains("did you mean mine?"), "\(result.errors)")
    #expect(result.output.contains("one convolution of 3x3 or 5x5"))
    // At three channels: both convolutions with a bias a channel, then a layer of ten classes.
    #expect(result.output.contains("\(84 + 228 + 40) parameters in the supernet"))
    #expect(runner.has("b/summary.json"))
  }

  /// Compiles a program against the modules that the tool is built from, and runs a shell's commands.
  private func build(_ program: String, with more: String = "", andRun commands: String) throws
    -> CommandResult
  {
    try runner.write(program, to: "main.swift")
    let build = (CommandRunner.binary as NSString).deletingLastPathComponent
    // What the tool is linked from: the folders may hold objects of sources that are gone.
    let modules = "CKernels|COpenCL|EspalierTensor|EspalierNN|EspalierData|Espalier\(more)"
    let list = "\(build)/espalier.product/Objects.LinkFileList"
    let objects = "$(tr -d \"'\" < '\(list)' | grep -E '/(\(modules))\\.build/')"
    let maps = ["CKernels", "COpenCL"]
      .map { "-Xcc '-fmodule-map-file=\(build)/\($0).build/module.modulemap'" }
      .joined(separator: " ")
    let command =
      "swiftc -swift-version 6 -I '\(build)/Modules' \(maps) main.swift \(objects) -o sample "
      + "-lm -ldl -lpthread && (\(commands))"
    let shell = Process()
    shell.executableURL = URL(fileURLWithPath: "/bin/bash")
    shell.arguments = ["-c", command]
    shell.currentDirectoryURL = URL(fileURLWithPath: runner.folder)
    return try RunningCommand(shell, folder: runner.folder).wait()
  }

  @Test("the commands run as they are written, with smaller numbers")
  func commands() throws {
    let lines = try block("", containing: "espalier search")
      .replacing("\\\n", with: " ").split(separator: "\n")
      .filter { $0.hasPrefix("espalier ") }
    #expect(lines.count >= 7)
    for line in lines {
      var command = String(line.dropFirst("espalier ".count))
        .replacing(/--epochs \d+/, with: "--epochs 1")
        .replacing(/--set channels=\d+ --set cells=\d+/, with: "--set channels=2 --set cells=3")
      if command.hasPrefix("search") { command += " --set images=32 --set evaluations=1" }
      if command.hasPrefix("retrain") {
        command += " --set images=32 --set test_images=32 --set auxiliary_weight=0"
      }
      if command.hasPrefix("evaluate") { command += " --set images=32" }
      let result = try runner.run(command)
      #expect(result.code == 0, "\(command): \(result.errors)")
    }
  }
}
