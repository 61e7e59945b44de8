import EspalierNN
import Foundation
import Testing

@Suite("Rank", .serialized)
struct RankTests {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private static let operations = [
    "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3",
  ]

  /// Cells of one operation before the last node and another behind it, with a score each.
  private static let table: String = {
    var lines = ["index,arch,score,word"]
    for (row, first) in operations.enumerated() {
      for (column, last) in operations.enumerated() where last != "none" {
        let cell =
          "|\(first)~0|+|\(first)~0|\(first)~1|+|\(last)~0|\(last)~1|\(last)~2|"
        lines.append("\(lines.count - 1),\(cell),\((7 * row + 3 * column) % 11),x")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }()

  private static let flags = "--space nas-bench-201 --data synthetic"

  @Test("it prints the correlations of a trained supernet; the same seed draws the same")
  func rank() throws {
    try runner.write(RankTests.table, to: "table.csv")
    let search = try runner.run(
      "search \(RankTests.flags) --strategy spos --epochs 3 --batch 16 --output a --set images=128 "
        + "--set channels=2 --set cells=1 --set evaluations=1 --set learning_rate=0.1 --no-baseline"
    )
    #expect(search.code == 0, "\(search.errors)")
    let line =
      "rank \(RankTests.flags) --table table.csv --checkpoint a/checkpoint.safetensors "
      + "--set test_images=60 --set recalibration_images=32 --sample 5 "
    let result = try runner.run(line + "--score score --seed 3 --json")
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.output.split(separator: "\n").count == 1)
    let json = try result.json()
    for key in ["spearman", "kendall", "spearman_parameters", "partial_spearman"] {
      let value = try #require(json[key]?.double, "\(key)")
      #expect((-1...1).contains(value), "\(key)")
    }
    #expect(json["sample"] == .integer(5))
    #expect(try runner.run(line + "--score score --seed 3 --json").output == result.output)
    let text = try runner.run(line + "--score score --seed 4").output
    #expect(text.contains("Kendall"))
    #expect(try !text.contains(shortened(json, "spearman")))

    try runner.expectFailure(line + "--score scores", naming: ["scores", "did you mean score?"])
    try runner.expectFailure(line + "--score word", naming: ["table.csv, row", "word", "number"])
    try runner.expectFailure(line + "--score score --sample 21", naming: ["21", "20 rows"])
    try runner.expectFailure(line + "--score score --set channels=4", naming: ["channels=2"])
    try runner.write("arch,score\n|x~0|,1\n|x~0|,2\n", to: "twice.csv")
    let other = line.replacing("table.csv", with: "twice.csv")
    try runner.expectFailure(other + "--score score", naming: ["twice.csv", "rows 1 and 2"])
    try runner.write("cell,score\n|x~0|,1\n", to: "none.csv")
    let without = line.replacing("table.csv", with: "none.csv")
    try runner.expectFailure(without + "--score score", naming: ["none.csv", "no column arch"])
  }

  /// A number as a table shows it.
  private func shortened(_ json: JSONObject, _ key: String) throws -> String {
    String(format: "%.4f", try #require(json[key]?.double))
  }

  @Test("what is missing is named")
  func missing() throws {
    try runner.expectFailure("rank \(RankTests.flags)", naming: ["--table"])
    try runner.expectFailure("rank \(RankTests.flags) --table t.csv", naming: ["--score"])
    try runner.expectFailure(
      "rank \(RankTests.flags) --table t.csv --score s", naming: ["--checkpoint"])
    try runner.expectFailure("rank \(RankTests.flags) --sample 2", naming: ["--sample"])
  }
}
