/// Limits that a search cannot keep to; every description is one line.
public enum LimitError: Error, Equatable {
  /// Even the cheapest candidates cost more.
  case unreachable(CostKey, limit: Double, least: Double)
  /// None that was looked at costs so little; `cost` is that of the strategy's best.
  case noneFound(CostLimits, CostKey, cost: Double)
}

extension LimitError: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .unreachable(let key, let limit, let least):
      "limit \(key.rawValue)=\(key.text(limit)): no architecture keeps to it, the cheapest candidates "
        + "have \(key.text(least)); raise the limit, or make the network smaller by --set"
    case .noneFound(let limits, let key, let cost):
      "no architecture within \(limits.texts.joined(separator: ", ")) was found, the best of the "
        + "strategy has \(key.rawValue)=\(key.text(cost)); raise the limit"
    }
  }
}

extension CostKey {
  /// A cost as text: whole where it counts something.
  public func text(_ cost: Double) -> String {
    self == .latency ? JSONValue.number(cost).compactText : "\(Int(cost.rounded()))"
  }

  /// A cost as JSON.
  func json(_ cost: Double) -> JSONValue {
    self == .latency ? .number(cost) : .integer(Int(cost.rounded()))
  }
}
