import Foundation
import Testing

@Suite("Signals", .serialized)
struct SignalTests {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Long enough that no signal comes too late.
  private static let search = Tiny.search.replacing("--epochs 2", with: "--epochs 6")

  private func start(_ line: String) throws -> RunningCommand {
    try runner.start(line.split(separator: " ").map(String.init))
  }

  @Test(
    "the first stops after the step with a checkpoint and says so at once, --resume needs no flag",
    arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
  func first(number: Int32, code: Int32) throws {
    #expect(try runner.run(SignalTests.search + " --output whole").code == 0)
    let running = try start(SignalTests.search + " --output stopped")
    running.wait(until: { runner.step(of: "stopped") >= 1 })
    running.signal(number)
    let result = running.wait()
    #expect(result.code == code, "\(result.errors)")
    #expect(
      result.errors.contains("stopping after this step (once more to stop now)"), "\(result.errors)"
    )
    runner.expectOneLine(result, naming: ["checkpoint", "--resume"])
    #expect(!runner.has("stopped/summary.json"))
    #expect(try runner.run("search --resume --output stopped").code == 0)
    for name in ["architecture.json", "checkpoint.safetensors"] {
      #expect(try runner.bytes("whole/\(name)") == runner.bytes("stopped/\(name)"), "\(name)")
    }
  }

  @Test("the first stops in whichever of several trainings it comes")
  func several() throws {
    try runner.write(Tiny.architecture, to: "a.json")
    let command =
      Tiny.retrain.replacing("--epochs 2", with: "--epochs 4")
      + " --set checkpoint_interval=1 --architecture a.json --seeds 2 "
    #expect(try runner.run(command + "--output whole").code == 0)
    for folder in ["stopped/seed-0", "stopped/seed-1"] {
      let running = try start(command + "--output stopped --resume")
      running.wait(until: { runner.step(of: folder) >= 1 })
      running.signal(SIGTERM)
      let result = running.wait()
      #expect(result.code == 143, "\(result.errors)")
      #expect(!runner.has("\(folder)/summary.json"))
    }
    #expect(try runner.run("retrain --output stopped --resume").code == 0)
    for folder in ["seed-0", "seed-1"] {
      #expect(
        try runner.bytes("whole/\(folder)/checkpoint.safetensors")
          == runner.bytes("stopped/\(folder)/checkpoint.safetensors"), "\(folder)")
    }
  }

  @Test("a second ends at once and leaves the last checkpoint whole")
  func second() throws {
    let running = try start(SignalTests.search + " --output stopped")
    running.wait(until: { runner.step(of: "stopped") >= 1 })
    // Both come while it sleeps, so it meets them within one step.
    running.signal(SIGSTOP)
    running.signal(SIGINT)
    running.signal(SIGTERM)
    running.signal(SIGCONT)
    let result = running.wait()
    #expect(!result.isKilled)
    #expect([130, 143].contains(result.code), "\(result.errors)")
    runner.expectOneLine(result, naming: ["stopped at once", "--resume"])
    let again = try runner.run("search --resume --output stopped")
    #expect(again.code == 0, "\(again.errors)")
    #expect(again.errors.contains("going on after step"))
    #expect(!again.errors.contains("previous"), "the newest checkpoint is whole")
  }

  @Test(
    "one while nothing is kept ends at once",
    arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
  func early(number: Int32, code: Int32) throws {
    // Waits for a writer that never comes.
    #expect(mkfifo(runner.path("config.json"), 0o600) == 0)
    let running = try start("evaluate --config config.json")
    running.wait(until: { running.handles(number) })
    running.signal(number)
    let result = running.wait()
    #expect(result.code == code, "\(result.errors)")
    #expect(!result.isKilled)
    runner.expectOneLine(result, naming: ["interrupted"])
  }
}
