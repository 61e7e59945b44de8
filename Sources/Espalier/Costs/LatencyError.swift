/// What is wrong with latencies; every description is one line.
public enum LatencyError: Error, Equatable {
  /// Latencies are asked for but nothing is known about any.
  case noTable
  /// A file that is no latency table.
  case notATable(String, String)
  /// A file that is none of the published tables.
  case notPublished(String, String)
  /// A published table without a key.
  case noKey(String, String, nearest: String?)
  /// A candidate that was not measured at its input's shape.
  case missing(choice: String, candidate: String, input: String, device: String)
  /// A choice that is measured by no candidate of its own.
  case unmeasurable(String)
}

extension LatencyError: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .noTable:
      "latency_s is not known: give --latency-table FILE, which `espalier latency` writes"
    case .notATable(let file, let found):
      "\(file): \(found), expected a table that `espalier latency` wrote"
    case .notPublished(let file, let found):
      "\(file): \(found), expected a published table of latencies"
    case .noKey(let file, let key, let nearest):
      "\(file): has no row \(key)" + (nearest.map { ", did you mean \($0)?" } ?? "")
    case .missing(let choice, let candidate, let input, let device):
      "the latency table of \(device) has no row for \(candidate) of \(choice) at input \(input); "
        + "measure again by `espalier latency` with this --space, --data and --set"
    case .unmeasurable(let key):
      "\(key) is no choice between layers, latencies are measured of layers; leave latency_s out"
    }
  }
}
