extension SearchContext {
  /// Throws before anything trains where no architecture can keep to the limits, or the latency table
  /// is of another network.
  func requireReachableLimits() throws {
    if !limits.isEmpty || latency != nil { try costs().requireReachable(limits) }
  }

  /// A uniformly random architecture within all limits; nil where a thousand draws found none.
  func admittedArchitecture(_ generator: inout SeededGenerator) throws -> [String: ResolvedChoice]?
  {
    for _ in 0..<1000 {
      let choices = space.randomArchitecture(&generator)
      if try admits(choices) { return choices }
    }
    return nil
  }

  /// What an architecture costs, for logs; empty for networks that take no images.
  func costJSON(_ choices: [String: ResolvedChoice]) throws -> JSONObject {
    guard takesImages else { return JSONObject() }
    var object = JSONObject()
    let costs = try costs().exact(choices)
    for key in CostKey.allCases { object[key.rawValue] = costs[key].map(key.json) }
    return object
  }
}
