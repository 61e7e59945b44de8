import Espalier

extension JSONObject {
  /// Adds the results of one training, or the mean of several with its deviation.
  ///
  /// - Parameter names: The results' names here.
  mutating func add(_ results: [JSONObject], names: [String: String]) {
    guard let first = results.first else { return }
    for (name, own) in names {
      let values = results.compactMap { $0[name]?.double }
      guard results.count > 1, name.hasPrefix("test_") || name.hasSuffix("_seconds") else {
        self[own] = first[name]
        continue
      }
      if name.hasSuffix("_seconds") {
        self[own] = .number(values.reduce(0, +))
        continue
      }
      let mean = values.reduce(0, +) / Double(values.count)
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      self[own] = .number(mean)
      self[own + "_std"] = .number((squares / Double(values.count - 1)).squareRoot())
      self[own + "_each"] = .array(values.map { .number($0) })
    }
  }
}
