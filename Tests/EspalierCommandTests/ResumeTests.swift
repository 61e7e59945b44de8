import EspalierNN
import Foundation
import Testing

@Suite("Resume", .serialized)
struct ResumeTests {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private let results = ["architecture.json", "checkpoint.safetensors"]

  private func expectSame(_ a: String, _ b: String, _ names: [String]) throws {
    for name in names {
      #expect(try runner.bytes("\(a)/\(name)") == runner.bytes("\(b)/\(name)"), "\(name)")
    }
  }

  @Test("two runs of one seed give the same bytes, another seed others")
  func determinism() throws {
    for (folder, seed) in [("a", 9), ("b", 9), ("c", 10)] {
      let result = try runner.run(Tiny.search + " --seed \(seed) --output \(folder) --json")
      #expect(result.code == 0, "\(result.errors)")
    }
    try expectSame("a", "b", results + ["epochs/1.json", "epochs/2.json", "config.json"])
    #expect(
      try runner.bytes("a/checkpoint.safetensors") != runner.bytes("c/checkpoint.safetensors"))
  }

  @Test("a retraining goes on bit for bit")
  func retraining() throws {
    try runner.write(Tiny.architecture, to: "a.json")
    let command = Tiny.retrain + " --architecture a.json --set checkpoint_interval=1"
    #expect(try runner.run(command + " --output whole").code == 0)
    for step in [1, 5] {
      let running = try runner.start(
        (command + " --output killed --resume").split(separator: " ").map(String.init))
      running.wait(until: { runner.step(of: "killed") >= step })
      running.signal(SIGKILL)
      #expect(running.wait().isKilled, "step \(step)")
    }
    #expect(try runner.run(command + " --output killed --resume").code == 0)
    for flags in ["--inherit whole/checkpoint.safetensors", "--seeds 2", "--baseline"] {
      try runner.expectFailure(
        "retrain --output whole --resume \(flags)", naming: ["whole was made with"])
    }
    #expect(try runner.run("retrain --output whole --resume --seeds 1").code == 0)
    try expectSame("whole", "killed", results)
  }

  @Test("a finished run prints its result again and changes nothing; a contradiction is refused")
  func finished() throws {
    let first = try runner.run(Tiny.search + " --output a --json")
    #expect(first.code == 0, "\(first.errors)")
    let names = try FileManager.default.subpathsOfDirectory(atPath: runner.path("a")).sorted()
    let config = try runner.bytes("a/config.json")
    for flags in ["", Tiny.search.dropFirst("search".count)] {
      let again = try runner.run("search\(flags) --output a --resume --json")
      #expect(again.code == 0, "\(again.errors)")
      #expect(try again.json() == first.json())
    }
    for flags in [
      "--epochs 3", "--batch 5", "--seed 1", "--strategy random", "--space mnist",
      "--data synthetic", "--set channels=4", "--set learning_rate=0.1", "--log-every 3",
    ] {
      try runner.expectFailure("search --output a --resume \(flags)", naming: ["a was made with"])
    }
    try runner.expectFailure("retrain --output a --resume", naming: ["search"])
    #expect(
      try FileManager.default.subpathsOfDirectory(atPath: runner.path("a")).sorted() == names)
    #expect(try runner.bytes("a/config.json") == config)
  }

  @Test("a half-written checkpoint gives way to the one before, and the run says so")
  func damaged() throws {
    #expect(try runner.run(Tiny.search + " --output whole").code == 0)
    #expect(try runner.run(Tiny.search + " --output damaged").code == 0)
    // As after a crash in the middle of the last step.
    for name in ["summary.json", "architecture.json"] {
      try FileManager.default.removeItem(atPath: runner.path("damaged/" + name))
    }
    let checkpoint = try runner.bytes("damaged/checkpoint.safetensors")
    try checkpoint.prefix(checkpoint.count / 2).write(
      to: URL(fileURLWithPath: runner.path("damaged/checkpoint.safetensors")))
    let result = try runner.run("search --output damaged --resume")
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.errors.contains("using damaged/checkpoint.previous.safetensors"))
    try expectSame("whole", "damaged", results)
    // With none before it, or a damaged one, nothing can go on.
    try FileManager.default.removeItem(atPath: runner.path("damaged/summary.json"))
    let half = checkpoint.prefix(checkpoint.count / 2)
    try half.write(to: URL(fileURLWithPath: runner.path("damaged/checkpoint.safetensors")))
    let previous = "damaged/checkpoint.previous.safetensors"
    try half.write(to: URL(fileURLWithPath: runner.path(previous)))
    try runner.expectFailure(
      "search --output damaged --resume",
      naming: ["damaged/checkpoint.safetensors: damaged", "\(previous) is damaged too", "another"])
    try FileManager.default.removeItem(atPath: runner.path(previous))
    try runner.expectFailure(
      "search --output damaged --resume",
      naming: ["damaged/checkpoint.safetensors: damaged", "no earlier \(previous)", "another"])
    #expect(try runner.bytes("damaged/checkpoint.safetensors") == half, "nothing is overwritten")
  }

  @Test("without a run --resume begins one, or says what it needs for that")
  func nothing() throws {
    try runner.expectFailure(
      "search --resume --output a", naming: ["no run in a", "--space, --strategy, --data"])
    try runner.expectFailure(
      "search --resume --output a --space darts --data synthetic", naming: ["give --strategy"])
    try runner.expectFailure(
      "retrain --resume --output a --data synthetic", naming: ["give --space, --architecture"])
    #expect(!runner.has("a"))
    #expect(try runner.run(Tiny.search + " --resume --output a").code == 0)
    #expect(runner.has("a/summary.json"))
  }

  @Test("a finished run that may only be read prints its result again")
  func readOnly() throws {
    let first = try runner.run(Tiny.search + " --output a --json")
    #expect(first.code == 0, "\(first.errors)")
    let bash = Process()
    bash.executableURL = URL(fileURLWithPath: "/bin/bash")
    // Root may write everywhere, so another user runs a copy.
    bash.arguments = [
      "-c",
      """
      cp "$0" tool && chmod -R a+rX,a-w .
      [ "$(id -u)" = 0 ] && as='setpriv --reuid 65534 --clear-groups'
      $as ./tool search --resume --output a --json && $as ./tool space export mnist -o a/space.json
      code=$?
      chmod -R u+w .
      exit $code
      """, CommandRunner.binary,
    ]
    bash.currentDirectoryURL = URL(fileURLWithPath: runner.folder)
    let result = try RunningCommand(bash, folder: runner.folder).wait()
    #expect(try JSONValue(parsing: Array(result.output.utf8)) == .object(first.json()))
    runner.expectOneLine(result, naming: ["a/space.json", "Permission denied"])
    #expect(result.code == 1)
  }

  @Test("two processes never write one folder")
  func locked() throws {
    let running = try runner.start(
      (Tiny.search.replacing("--epochs 2", with: "--epochs 50") + " --output a").split(
        separator: " "
      ).map(String.init))
    while running.process.isRunning && !runner.has("a/log.jsonl") {
      Thread.sleep(forTimeInterval: 0.01)
    }
    try runner.expectFailure("search --resume --output a", naming: ["another process"])
    running.signal(SIGKILL)
    _ = running.wait()
  }
}
