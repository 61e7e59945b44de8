import EspalierNN
import Foundation
import Testing

@Suite("Dry runs", .serialized)
struct DryRunTests {
  let runner: CommandRunner

  init() throws {
    runner = try CommandRunner()
    try runner.write(Tiny.architecture, to: "a.json")
  }

  @Test(
    "what a run would refuse, its dry run refuses in the same words",
    arguments: [
      ("--set images=1", "split=0.5"), ("--set images=100 --set split=1", "split=1.0"),
      ("--set split=0", "split=0"), ("--set images=0", "images=0"),
      ("--output a.json", "a.json is a file"),
      ("--output a.json/below", "a.json/below cannot be made: Not a directory"),
    ])
  func search(flags: String, words: String) throws {
    var line = "search \(Tiny.space) --data fashion-mnist-mini --strategy darts \(flags)"
    if !flags.contains("--output") { line += " --output out" }
    try expectSameRefusal(line, naming: words)
  }

  @Test(
    "likewise of a retraining",
    arguments: [
      ("--set test_images=0", "test_images=0"), ("--set split=0", "split=0"),
      ("--set images=0", "images=0"), ("--output a.json", "a.json is a file"),
    ])
  func retrain(flags: String, words: String) throws {
    var line =
      "retrain \(Tiny.space) --data fashion-mnist-mini --architecture a.json \(flags)"
    if !flags.contains("--output") { line += " --output out" }
    try expectSameRefusal(line, naming: words)
  }

  private func expectSameRefusal(_ line: String, naming words: String) throws {
    try runner.expectFailure(line, naming: [words])
    let (real, dry) = (try runner.run(line), try runner.run(line + " --dry-run"))
    #expect(dry.code == 2, "\(line): \(dry.output)")
    #expect(dry.lastErrorLine == real.lastErrorLine)
    #expect(dry.output.isEmpty)
    #expect(!runner.has("out"))
  }

  @Test("a retraining on one image in a batch that is larger runs, dry or not")
  func oneImage() throws {
    let line =
      "retrain \(Tiny.space) --data fashion-mnist-mini --architecture a.json --epochs 1 "
      + "--set images=1 --set test_images=1 --set split=1"
    for end in [" --dry-run", ""] {
      let result = try runner.run(line + " --output out" + end)
      #expect(result.code == 0, "\(result.errors)")
      #expect(result.errors.contains("cut to the 1 image"))
      #expect(runner.has("out") == end.isEmpty)
    }
  }
}
