/// What an architecture costs, by the name that `--limit` and settings take.
public enum CostKey: String, CaseIterable, Sendable {
  /// Number of parameters.
  case parameters
  /// Multiply-adds of convolutions and linear layers for one image, a bias as one an output.
  case multiplyAdds = "multiply_adds"
  /// Seconds for one image on the device of a latency table: the sum over what runs.
  case latency = "latency_s"

  /// All names, for messages.
  static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// The largest costs that an architecture may have.
public struct CostLimits: Sendable, Equatable {
  /// The limit of each cost that has one.
  public var limits: [CostKey: Double] = [:]

  /// No limits.
  public init() {}

  /// Limits as the command line gives them, such as `multiply_adds=3e6`.
  /// - Throws: `SettingError` where a name is no cost, or a limit no positive number.
  public init(parsing texts: [String]) throws(SettingError) {
    for text in texts {
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let key = CostKey(rawValue: String(parts[0])) else {
        throw SettingError(
          name: "limit", value: text, expected: "KEY=N, KEY one of \(CostKey.names)")
      }
      guard let limit = Double(parts[1]), limit > 0, limit.isFinite else {
        throw SettingError(
          name: "limit", value: text, expected: "a positive number behind \(key.rawValue)=")
      }
      if let earlier = limits[key], earlier != limit {
        throw SettingError(
          name: "limit", value: text,
          expected: "one limit of \(key.rawValue), \(key.text(earlier)) is given too")
      }
      limits[key] = limit
    }
  }

  /// Whether nothing is limited.
  public var isEmpty: Bool { limits.isEmpty }

  /// The limits as the command line takes them.
  public var texts: [String] {
    limits.map { key, limit in
      let number = Int(exactly: limit).map { "\($0)" } ?? "\(limit)"
      return "\(key.rawValue)=\(number)"
    }.sorted()
  }
}
