/// How much of a search's probability lies on operations that have no weights: whether it collapses.
///
/// Differentiable searches that run too long prefer skip connections, pooling and nothing to
/// everything that learns (arXiv:1909.09656). Looked at are layer choices that offer both.
struct OperationShares {
  /// The mean probability of what is exactly zero, of skip connections, and of everything without
  /// weights, those two included.
  private(set) var (zero, skip, parameterFree) = (0.0, 0.0, 0.0)
  /// The share of choices whose most probable candidate has no weights.
  private(set) var preferred = 0.0
  /// What `parameterFree` is where all candidates are equally probable.
  private var uniform = 0.0
  private let count: Int

  init(_ probabilities: [String: [Double]], in space: SearchSpace) {
    var count = 0
    for (key, p) in probabilities.sorted(by: { $0.key < $1.key }) {
      let kinds = space.operationKinds(key)
      guard kinds.count == p.count, kinds.contains(.parametric),
        kinds.contains(where: { $0 != .parametric })
      else { continue }
      count += 1
      let total = max(p.reduce(0, +), .leastNormalMagnitude)
      func share(_ isCounted: (OperationKind) -> Bool) -> Double {
        zip(kinds, p).reduce(0) { $0 + (isCounted($1.0) ? $1.1 / total : 0) }
      }
      zero += share { $0 == .zero }
      skip += share { $0 == .skip }
      parameterFree += share { $0 != .parametric }
      uniform += Double(kinds.count { $0 != .parametric }) / Double(kinds.count)
      let best = p.indices.reduce(0) { p[$1] > p[$0] ? $1 : $0 }
      preferred += kinds[best] != .parametric ? 1 : 0
    }
    self.count = count
    guard count > 0 else { return }
    let n = Double(count)
    (zero, skip, parameterFree) = (zero / n, skip / n, parameterFree / n)
    (uniform, preferred) = (uniform / n, preferred / n)
  }

  /// Whether operations without weights dominate: four of five choices prefer them, and they have
  /// more than their even share of the probability.
  var isCollapsed: Bool { count > 0 && preferred >= 0.8 && parameterFree > uniform }

  /// One line for people.
  var text: String {
    func percent(_ share: Double) -> String { "\(Int((100 * share).rounded())) %" }
    return
      "\(percent(preferred)) of the choices prefer an operation without weights; probability of "
      + "skip connections \(percent(skip)), nothing \(percent(zero)), "
      + "all without weights \(percent(parameterFree))"
  }

  /// For a line of the log.
  var json: JSONValue {
    .object([
      "zero": .number(zero), "skip": .number(skip), "parameter_free": .number(parameterFree),
      "preferred": .number(preferred),
    ])
  }
}
