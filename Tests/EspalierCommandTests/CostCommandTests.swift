import EspalierNN
import Foundation
import Testing

@Suite("Costs on the command line", .serialized)
struct CostCommandTests {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private static let sizes = "--set channels=2 --set cells=1"
  private static let search =
    "search --space nas-bench-201 --strategy random --data fashion-mnist-mini --device cpu "
    + "--epochs 1 --batch 16 --set images=64 --set evaluations=4 --set evaluation_images=32 "
    + "--set recalibration_images=0 \(sizes)"

  @Test("A limit is kept by the result and the baseline, the front is printed, and a resume agrees")
  func kept() throws {
    let result = try runner.run(
      Self.search + " --limit parameters=1600 --set keep=2 --output runs/a")
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.output.contains("Pareto front: parameters"))
    #expect(result.output.contains("Pareto front: multiply-adds an image"))
    let summary = try runner.object("runs/a/summary.json")
    guard case .object(let costs)? = summary["costs"], case .array(let best)? = summary["best"]
    else { throw CommandResult.NotJSON(text: result.output) }
    #expect((costs["parameters"]?.double ?? .infinity) <= 1600)
    #expect(best.count == 2 && runner.has("runs/a/best/2.json"))
    let lines = String(decoding: try runner.bytes("runs/a/candidates.jsonl"), as: UTF8.self)
      .split(separator: "\n")
    #expect(lines.count > 3)
    for line in lines {
      guard case .object(let entry) = try JSONValue(parsing: Array(line.utf8)),
        case .object(let costs)? = entry["costs"]
      else { throw CommandResult.NotJSON(text: String(line)) }
      #expect((costs["parameters"]?.double ?? .infinity) <= 1600)
    }
    // What `evaluate` counts is what was limited.
    let evaluated = try runner.run(
      "evaluate --space nas-bench-201 --architecture runs/a/architecture.json --data "
        + "fashion-mnist-mini --device cpu --set images=8 --json \(Self.sizes)")
    #expect(try evaluated.json()["parameters"] == costs["parameters"])
    #expect(try evaluated.json()["multiply_adds"] == costs["multiply_adds"])
    #expect(try runner.object("runs/a/config.json")["limit"] == .string("parameters=1600"))
    try runner.expectFailure(
      Self.search + " --limit parameters=1700 --output runs/a --resume",
      naming: ["--limit", "parameters=1600"])
  }

  @Test("A limit that nothing can keep to is refused before anything is written, dry run or not")
  func unreachable() throws {
    for flag in ["", " --dry-run"] {
      try runner.expectFailure(
        Self.search + " --limit multiply_adds=10 --output runs/b" + flag,
        naming: ["limit multiply_adds=10", "no architecture keeps to it", "raise the limit"])
    }
    #expect(!runner.has("runs/b"))
    for (limit, word) in [
      ("flops=3", "multiply_adds"), ("parameters=many", "a positive number"),
      ("latency_s=1", "--latency-table FILE"),
    ] { try runner.expectFailure(Self.search + " --limit \(limit)", naming: [word]) }
  }

  @Test("Where no architecture within a limit is found the work fails, and its checkpoint stays")
  func noneFound() throws {
    // Whether the skip connection is there is no sum over choices, so it shows at the end.
    try runner.expectFailure(
      "search --space mnist --strategy random --data fashion-mnist-mini --device cpu --epochs 1 "
        + "--batch 8 --set images=16 --set evaluations=2 --set recalibration_images=0 "
        + "--limit parameters=10 --output runs/c", code: 1,
      naming: ["no architecture within parameters=10 was found", "raise the limit"])
    #expect(runner.has("runs/c/checkpoint.safetensors"))
    #expect(!runner.has("runs/c/architecture.json"))
  }

  @Test("A table that latency writes makes latency_s known to a search of the same sizes alone")
  func latency() throws {
    let measured = try runner.run(
      "latency --space nas-bench-201 --device cpu --data fashion-mnist-mini --batch 2 "
        + "\(Self.sizes) -o latency.csv --json")
    #expect(measured.code == 0, "\(measured.errors)")
    // Fixed, then 1x1, 3x3 and pooling at three widths; skip and none take nothing.
    #expect(try measured.json()["rows"] == .integer(1 + 3 * 3))
    let found = try runner.run(
      Self.search + " --latency-table latency.csv --limit latency_s=100 --output runs/d")
    #expect(found.code == 0, "\(found.errors)")
    #expect(found.output.contains("Pareto front: seconds an image"))
    guard case .object(let costs)? = try runner.object("runs/d/summary.json")["costs"] else {
      throw CommandResult.NotJSON(text: found.output)
    }
    #expect((costs["latency_s"]?.double ?? 0) > 0)
    try runner.expectFailure(
      Self.search.replacing("channels=2", with: "channels=4")
        + " --latency-table latency.csv --output runs/e",
      naming: ["no row for", "at input", "espalier latency"])
    #expect(!runner.has("runs/e"))
    try runner.expectFailure(
      "latency --space nas-bench-201 --device cpu \(Self.sizes) -o latency.csv",
      naming: ["latency.csv exists", "--force"])
    try runner.expectFailure(
      Self.search + " --latency-table runs/d/summary.json", naming: ["summary.json"])
  }
}
