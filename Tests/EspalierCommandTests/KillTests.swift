import EspalierNN
import Foundation
import Testing

@Suite("kill -9", .serialized)
struct KillTests {
  /// Where in a run a kill came.
  private enum Phase: String, CaseIterable {
    case beforeFirstCheckpoint, betweenCheckpoints, afterTraining
  }

  private static let steps = 24
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// What the uninterrupted run took, in seconds.
  private struct Pace {
    var firstCheckpoint = 0.0
    var step = 0.0
    var evaluations = 0.0
  }

  private func runWhole(_ arguments: [String]) throws -> Pace {
    var pace = Pace()
    var last = Date()
    func lap() -> Double {
      defer { last = Date() }
      return Date().timeIntervalSince(last)
    }
    let running = try runner.start(arguments + ["--output", "whole"])
    running.wait(until: { runner.step(of: "whole") >= 1 })
    pace.firstCheckpoint = lap()
    running.wait(until: { runner.step(of: "whole") >= KillTests.steps })
    pace.step = lap() / Double(KillTests.steps - 1)
    let result = running.wait()
    pace.evaluations = lap()
    #expect(result.code == 0, "\(result.errors)")
    return pace
  }

  /// Where the killed run was; nil where it was done already.
  private func phase() -> Phase? {
    if runner.has("killed/summary.json") { return nil }
    if !runner.has("killed/checkpoint.safetensors") { return .beforeFirstCheckpoint }
    return runner.step(of: "killed") < KillTests.steps ? .betweenCheckpoints : .afterTraining
  }

  /// The steps of a run's log, which a resumed run must not repeat or leave out.
  private func loggedSteps(_ folder: String) throws -> [Substring] {
    String(decoding: try runner.bytes("\(folder)/log.jsonl"), as: UTF8.self)
      .split(separator: "\n").compactMap { $0.split(separator: "\"step\": ").last }
  }

  private func expectSame(_ seed: UInt64) throws {
    for name in ["architecture.json", "checkpoint.safetensors"] {
      #expect(
        try runner.bytes("whole/\(name)") == runner.bytes("killed/\(name)"),
        "\(name), kills from seed \(seed)")
    }
    #expect(try loggedSteps("whole") == loggedSteps("killed"), "kills from seed \(seed)")
  }

  @Test("at random moments changes nothing", arguments: [("darts", 20), ("random", 6)])
  func randomMoments(strategy: String, count: Int) throws {
    let arguments = Tiny.search
      .replacing("--epochs 2", with: "--epochs 6")
      .replacing("evaluations=2", with: "evaluations=12")
      .replacing("--strategy darts", with: "--strategy \(strategy)")
      .split(separator: " ").map(String.init)
    var pace = try runWhole(arguments)
    let environment = ProcessInfo.processInfo.environment["ESPALIER_KILL_SEED"]
    let seed = environment.flatMap { UInt64($0) } ?? UInt64.random(in: 0...99999)
    print("kills of \(strategy) from seed \(seed); ESPALIER_KILL_SEED=\(seed) repeats them")
    var generator = SplitMix64(state: seed)
    var kills: [Phase] = []
    /// Ends the run undisturbed, and begins another one.
    func endAndBeginAgain() throws {
      let result = try runner.run(arguments + ["--output", "killed", "--resume"])
      #expect(result.code == 0, "\(result.errors)")
      try expectSame(seed)
      try FileManager.default.removeItem(atPath: runner.path("killed"))
    }
    for _ in 0..<3 * count where kills.count < count {
      let aim: Phase =
        kills.count < count / 4 || !kills.contains(.beforeFirstCheckpoint)
        ? .beforeFirstCheckpoint
        : kills.count < 3 * count / 4 ? .betweenCheckpoints : .afterTraining
      let running = try runner.start(arguments + ["--output", "killed", "--resume"])
      let longest: Double
      switch aim {
      case .beforeFirstCheckpoint: longest = pace.firstCheckpoint
      case .betweenCheckpoints:
        let next = runner.step(of: "killed") + Int.random(in: 1...2, using: &generator)
        running.wait(until: { runner.step(of: "killed") >= min(next, KillTests.steps) })
        longest = pace.step
      case .afterTraining:
        running.wait(until: { runner.step(of: "killed") >= KillTests.steps })
        longest = pace.evaluations
      }
      Thread.sleep(forTimeInterval: .random(in: 0...longest, using: &generator))
      running.signal(SIGKILL)
      let isKilled = running.wait().isKilled
      let landed = isKilled ? phase() : nil
      if let landed { kills.append(landed) }
      // Too late: the machine is faster than it was.
      if landed == nil { pace.evaluations *= 0.6 }
      if aim == .beforeFirstCheckpoint && landed != aim { pace.firstCheckpoint *= 0.6 }
      if landed == nil || aim == .beforeFirstCheckpoint && landed != aim { try endAndBeginAgain() }
    }
    print("kills of \(strategy):", kills.map(\.rawValue).joined(separator: ", "))
    #expect(kills.count == count, "seed \(seed)")
    for phase in Phase.allCases { #expect(kills.contains(phase), "\(phase), seed \(seed)") }
    let result = try runner.run(arguments + ["--output", "killed", "--resume"])
    #expect(result.code == 0, "\(result.errors)")
    try expectSame(seed)
  }
}

/// Steele, Lea and Flood 2014; the same numbers for the same seed.
private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
