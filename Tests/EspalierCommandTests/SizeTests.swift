import EspalierNN
import Foundation
import Testing

@Suite("Sizes", .serialized)
struct SizeTests {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func warnings(_ line: String) throws -> [String] {
    let result = try runner.run(line)
    #expect(result.code == 0, "\(line): \(result.errors)")
    return result.errors.split(separator: "\n").map(String.init).filter {
      $0.hasPrefix("warning: ")
    }
  }

  @Test("sizes that are hardly meant are warned of, each in one line; sound ones are not")
  func search() throws {
    let rest = "--space mnist --strategy random --data fashion-mnist-mini --dry-run "
    for (flags, words) in [
      ("", []),
      ("--set images=2", ["--batch 64", "1 image to train"]),
      ("--set images=100 --batch 51", ["50 images that train"]),
      ("--set images=100 --batch 50", []),
      ("--set images=6001", ["fashion-mnist-mini has 6000"]),
      ("--set images=6000", []),
      ("--set images=100 --batch 8 --set split=0.95", ["5 to choose by, for 10"]),
      ("--set crop=28", ["crop=28"]),
    ] as [(String, [String])] {
      let lines = try warnings("search " + rest + flags)
      #expect(lines.count == words.count, "\(flags): \(lines)")
      for (line, word) in zip(lines, words) { #expect(line.contains(word), "\(line)") }
    }
  }

  @Test("an evaluation of more images than there are is warned of")
  func evaluate() throws {
    try runner.write(#"{"conv1": "conv3x3", "skipcon": []}"#, to: "m.json")
    // Twenty images of 28x28 pixels, so that all of them are looked at in no time.
    for (name, header) in [("train", 20), ("t10k", 20)] as [(String, UInt8)] {
      let shape: [UInt8] = [0, 0, 8, 3, 0, 0, 0, header, 0, 0, 0, 28, 0, 0, 0, 28]
      let pixels = (0..<Int(header) * 784).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      try Data(shape + pixels).write(
        to: URL(fileURLWithPath: runner.path("\(name)-images-idx3-ubyte")))
      try Data([0, 0, 8, 1, 0, 0, 0, header] + (0..<header).map { $0 % 10 }).write(
        to: URL(fileURLWithPath: runner.path("\(name)-labels-idx1-ubyte")))
    }
    let rest = "evaluate --space mnist --architecture m.json --data mnist:. --set images="
    #expect(try warnings(rest + "20").isEmpty)
    let lines = try warnings(rest + "21")
    #expect(lines.count == 1 && lines[0].contains("mnist has 20 test images"), "\(lines)")
  }

  @Test("long work gives a sign of life every few seconds")
  func signOfLife() throws {
    // A debug build needs far longer than this test to plan a network of this size.
    let running = try runner.start(
      "search --space darts --strategy darts --data fashion-mnist-mini --epochs 1 --output out"
        .split(separator: " ").map(String.init))
    running.wait(until: { running.errorsSoFar.contains(" choices, ") })
    var (lines, longest, last) = (0, 0.0, Date())
    while running.process.isRunning && lines < 3 && longest < 30 {
      Thread.sleep(forTimeInterval: 0.05)
      let now = running.errorsSoFar.split(separator: "\n").count
      longest = max(longest, Date().timeIntervalSince(last))
      if now > lines { (lines, last) = (now, Date()) }
    }
    running.signal(SIGKILL)
    let result = running.wait()
    #expect(result.isKilled, "it was not long enough: \(result.errors)")
    // Five seconds, and what a busy machine adds.
    #expect(longest < 15, "\(result.errors)")
  }

  @Test("a retraining says its size before it begins, and warns of its test images too")
  func retrain() throws {
    try runner.write(#"{"conv1": "conv3x3", "skipcon": []}"#, to: "m.json")
    let rest =
      "retrain --space mnist --architecture m.json --data fashion-mnist-mini --set images=32 "
      + "--batch 8 --epochs 1 "
    let plan = try runner.run(rest + "--dry-run --set test_images=2001")
    #expect(plan.errors.contains("warning: --set test_images=2001"))
    #expect(plan.output.contains("32 training images, 1 epoch of 4 steps"), "\(plan.output)")
    let json = try runner.run(rest + "--dry-run --json").json()
    #expect(json["steps"] == .integer(4))
    #expect(!runner.has("runs"), "a dry run writes nothing")
    let result = try runner.run(rest + "--set test_images=8 --output r")
    let lines = result.errors.split(separator: "\n")
    #expect(lines.first?.contains("1 epoch of 4 steps") == true, "\(result.errors)")
    // The parameters said before the run are those of its result.
    guard case .integer(let parameters)? = try runner.object("r/summary.json")["parameters"] else {
      Issue.record("no parameters")
      return
    }
    #expect(lines.first?.contains("\(parameters) parameters") == true)
    #expect(plan.output.contains("\(parameters) parameters"))
  }
}
