import EspalierNN

/// What can be wrong with an architecture; every description is one line that names the file and,
/// where it applies, the key and the valid choices.
public enum ArchitectureError: Error, Equatable, Sendable {
  /// The file cannot be opened, read or written.
  case unreadable(file: String, reason: String)
  /// The text is not JSON.
  case json(file: String, JSONError)
  /// The text is no mapping and none of the other forms.
  case notAnArchitecture(file: String, found: String)
  /// The keys are not those of the space; `nearest` are the space's keys most like the unexpected.
  case keys(file: String, missing: [String], unexpected: [String], nearest: [String: String])
  /// Automatic keys (`LayerChoice1`) whose number or kinds are not those of the space.
  case automaticKeys(file: String, found: String, expected: String)
  /// A choice cannot be understood.
  case value(file: String, key: String, found: String, reason: String, valid: [String])
  /// A genotype or NAS-Bench-201 string cannot be read; the column counts from 1.
  case notation(file: String, column: Int, found: String, expected: String)
  /// The cell cannot be expressed in the form asked for.
  case inexpressible(file: String, reason: String)
}

extension ArchitectureError: CustomStringConvertible {
  /// One line for the user.
  public var description: String { text.onOneLine }

  private var text: String {
    switch self {
    case .unreadable(let file, let reason):
      return "\(file): \(reason)"
    case .json(let file, let error):
      return "\(file): \(error)"
    case .notAnArchitecture(let file, let found):
      return "\(file): found \(found), expected a mapping from key to choice, a Genotype(...) or a "
        + "NAS-Bench-201 string"
    case .keys(let file, let missing, let unexpected, let nearest):
      var parts: [String] = []
      if !missing.isEmpty { parts.append("missing keys: " + ArchitectureError.listed(missing)) }
      if !unexpected.isEmpty {
        let names = unexpected.map { key in
          nearest[key].map { "\(key) (did you mean \($0)?)" } ?? key
        }
        parts.append("unexpected keys: " + ArchitectureError.listed(names))
      }
      return "\(file): " + parts.joined(separator: "; ")
    case .automaticKeys(let file, let found, let expected):
      return "\(file): automatic keys for \(found), the space has \(expected)"
    case .value(let file, let key, let found, let reason, let valid):
      return "\(file): key '\(key)': \(found) \(reason); valid: \(ArchitectureError.listed(valid))"
    case .notation(let file, let column, let found, let expected):
      return "\(file): column \(column): found \(found), expected \(expected)"
    case .inexpressible(let file, let reason):
      return "\(file): \(reason)"
    }
  }

  /// At most 20 of the names.
  private static func listed(_ names: [String]) -> String {
    let shown = names.prefix(20).map { $0.prefix(100) }.joined(separator: ", ")
    return names.count > 20 ? "\(shown) and \(names.count - 20) more" : shown
  }
}

/// The name most like another by edit distance; nil when none is like it.
package func nearestName(to name: String, in names: [String]) -> String? {
  let wanted = Array(name.utf8.prefix(100))
  var best: (name: String, distance: Int)?
  for candidate in names.prefix(1000) {
    let other = Array(candidate.utf8.prefix(100))
    var row = Array(0...other.count)
    for (i, byte) in wanted.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, otherByte) in other.enumerated() {
        let replaced = diagonal + (byte == otherByte ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
      }
    }
    let distance = row[other.count]
    if distance < best?.distance ?? .max { best = (candidate, distance) }
  }
  guard let best, best.distance <= max(1, wanted.count / 3) else { return nil }
  return best.name
}
