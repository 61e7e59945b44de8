import Espalier
import Foundation

/// What costs are called in tables.
enum CostText {
  static func label(_ key: CostKey) -> String {
    switch key {
    case .parameters: "parameters"
    case .multiplyAdds: "multiply-adds an image"
    case .latency: "seconds an image, by the table"
    }
  }
}

/// The evaluated architectures that no other one beats in both score and a cost.
struct ParetoFront {
  private let cost: CostKey
  /// By cost, ascending; scores ascend too.
  private let points: [(cost: Double, score: Double)]

  /// The fronts of all costs of a run's `candidates.jsonl`; none where nothing was evaluated.
  static func all(inCandidatesOf run: String) throws -> [ParetoFront] {
    let path = "\(run)/candidates.jsonl"
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return [] }
    var points: [String: [(cost: Double, score: Double)]] = [:]
    for line in text.split(separator: "\n") {
      guard case .object(let object)? = try? JSONValue(parsing: Array(line.utf8)),
        let score = object["score"]?.double, case .object(let costs)? = object["costs"]
      else { continue }
      for key in costs.keys {
        guard let cost = costs[key]?.double else { continue }
        points[key, default: []].append((cost, score))
      }
    }
    return CostKey.allCases.compactMap { key in
      points[key.rawValue].map { ParetoFront(key, of: $0) }
    }
  }

  /// The front of some architectures.
  init(_ cost: CostKey, of all: [(cost: Double, score: Double)]) {
    self.cost = cost
    var best = -Double.infinity
    points = all.sorted { ($0.cost, -$0.score) < ($1.cost, -$1.score) }.filter { point in
      defer { best = max(best, point.score) }
      return point.score > best
    }
  }

  /// A table for people.
  var text: String {
    var table = Table(["Pareto front: \(CostText.label(cost))", "score"])
    for point in points { table.add([cost.text(point.cost), String(format: "%.4f", point.score)]) }
    return table.text
  }
}
