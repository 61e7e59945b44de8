import Foundation
import Testing

@testable import Espalier

@Suite("Limits", .seededWeights)
struct LimitTests {
  private static let image = ImageShape(channels: 1, height: 6, width: 6)

  private func options(_ limits: [String]) throws -> SearchOptions {
    var options = toyOptions()
    options.limits = try CostLimits(parsing: limits)
    return options
  }

  private func cost(_ architecture: Architecture) throws -> ModelCost {
    func measure(_ net: some Layer) throws -> ModelCost {
      try net.apply(architecture)
      return ModelCost(of: net, image: Self.image)
    }
    return architecture.keys.contains("skip") ? try measure(ToyNet()) : try measure(ToyLayersNet())
  }

  @Test("Limits are read as they are written, and nonsense is refused by name")
  func parsing() throws {
    let limits = try CostLimits(parsing: ["parameters=2e3", "multiply_adds=1000000"])
    #expect(limits.limits == [.parameters: 2000, .multiplyAdds: 1_000_000])
    #expect(try CostLimits(parsing: limits.texts) == limits)
    for text in ["flops=3", "parameters", "parameters=", "parameters=-1", "parameters=inf"] {
      #expect(throws: SettingError.self, "\(text)") { try CostLimits(parsing: [text]) }
    }
    #expect(throws: SettingError.self) {
      try CostLimits(parsing: ["parameters=1", "parameters=2"])
    }
  }

  @Test(
    "No strategy's result, nor any architecture it evaluates, exceeds a limit",
    arguments: strategyNames)
  func kept(name: String) throws {
    try withTemporaryFolder { folder in
      // A 1x1 and then a skip connection, or a 3x3 and a skip connection, but no second convolution.
      let result = try runToySearch(
        folder, try toyStrategy(name), epochs: 1, options: try options(["parameters=100"]))
      #expect(try cost(result.architecture).parameters <= 100)
      for line in try jsonLines("\(folder)/candidates.jsonl") {
        guard case .object(let costs)? = line["costs"], let object = line["architecture"] else {
          throw RunError("\(line)")
        }
        let truth = try cost(try Architecture(object, source: "candidates.jsonl"))
        #expect(truth.parameters <= 100)
        #expect(costs["parameters"] == .integer(truth.parameters))
        #expect(costs["multiply_adds"] == .integer(truth.multiplyAdds))
        #expect(costs["latency_s"] == nil)
      }
    }
  }

  @Test("A limit that the strategy's choice exceeds falls back on the best one evaluated within")
  func fallback() throws {
    try withTemporaryFolder { folder in
      let free = try runToySearch("\(folder)/a", DARTS(learningRate: 0.05))
      let most = try cost(free.architecture).multiplyAdds
      let limited = try runToySearch(
        "\(folder)/b", DARTS(learningRate: 0.05),
        options: try options(["multiply_adds=\(most - 1)"]))
      #expect(try cost(limited.architecture).multiplyAdds < most)
      let scores = try jsonLines("\(folder)/b/candidates.jsonl").filter {
        $0["source"] == .string("strategy")
      }.compactMap { $0["score"]?.double }
      #expect(limited.validation == scores.max())
    }
  }

  @Test("Where nothing keeps to a limit the search says so; its checkpoint stays")
  func noneFound() throws {
    try withTemporaryFolder { folder in
      do {
        try runToySearch(folder, RandomSearch(), epochs: 1, options: try options(["parameters=10"]))
        Issue.record("nothing has so few parameters")
      } catch let error as LimitError {
        #expect("\(error)".contains("no architecture within parameters=10 was found"))
        #expect("\(error)".contains("raise the limit"))
      }
      let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(files.contains("checkpoint.safetensors") && !files.contains("architecture.json"))
    }
  }

  @Test("A sum over choices knows before training that nothing keeps to a limit")
  func unreachable() throws {
    let costs = try ArchitectureCosts(image: CostNets.image, network: CostNets.nested)
    let space = try EspalierTests.space(of: CostNets.nested(), CostNets.image)
    for key in [CostKey.parameters, .multiplyAdds] {
      let least = try allArchitectures(space).map { try costs.exact($0, key) }.min() ?? 0
      var limits = CostLimits()
      limits.limits[key] = least
      try costs.requireReachable(limits)
      limits.limits[key] = least - 1
      #expect(throws: LimitError.unreachable(key, limit: least - 1, least: least)) {
        try costs.requireReachable(limits)
      }
    }
  }

  @Test("A limit of latencies without a table is refused before training")
  func noTable() throws {
    try withTemporaryFolder { folder in
      #expect(throws: LatencyError.noTable) {
        try runToySearch(folder, RandomSearch(), options: try options(["latency_s=1"]))
      }
    }
  }

  @Test("The best architectures that were evaluated are kept in files, best first")
  func keep() throws {
    try withTemporaryFolder { folder in
      var options = toyOptions()
      options.keep = 3
      try runToySearch(folder, RandomSearch(), epochs: 1, options: options)
      guard
        case .object(let summary) = try JSONValue(parsing: Array(bytes("\(folder)/summary.json"))),
        case .array(let best)? = summary["best"]
      else { throw RunError("no best architectures") }
      let lines = try jsonLines("\(folder)/candidates.jsonl")
      let scores = lines.compactMap { $0["score"]?.double }.sorted(by: >)
      #expect(best.count == 3 && scores.count > 3)
      for (number, value) in best.enumerated() {
        guard case .object(let object) = value else { throw RunError("\(value)") }
        #expect(object["file"] == .string("best/\(number + 1).json"))
        #expect(object["score"]?.double == scores[number])
        let kept = try Architecture(contentsOf: "\(folder)/best/\(number + 1).json")
        let line = try #require(lines.first { $0["architecture"] == kept.json })
        #expect(line["score"] == object["score"] && line["costs"] == object["costs"])
      }
    }
  }
}
