import Espalier

/// A command line that makes no sense: exit code 2.
struct UsageError: Error {
  let message: String
}

/// What the command line asks for.
struct BenchOptions {
  /// Rows whose operation, variant or shape does not contain this are left out.
  var filter: String?
  /// `cpu`, `auto`, `opencl:N`, or `all` in the table of operations.
  var device = "cpu"
  /// Where the JSON lines go too.
  var jsonFile: String?
  /// Which step is timed; nil is the table of operations.
  var workload: Workload?
  /// Images in a batch.
  var batch = 16
  /// Channels of the first cells; nil is the workload's default.
  var channels: Int?
  /// Number of cells; nil is the workload's default.
  var cells: Int?
  /// The space of a workload that is a strategy's; nil is the workload's own.
  var space: String?
  /// Timed steps; nil is the workload's default.
  var steps: Int?
  /// Only compares a few losses with those of an unoptimised plan and prints the difference.
  var isVerifying = false
  /// The arguments, for the process that verifies.
  let arguments: [String]

  private static let usage = """
    usage: Bench [--filter TEXT] [--device cpu|auto|opencl:N|all] [--json FILE] \
    [--workload \(Workload.names) [--batch N] [--channels N] [--cells N] [--steps N] \
    [--space S] [--verify]]
    """

  /// Reads the arguments after the program's name.
  init(_ arguments: [String]) throws(UsageError) {
    self.arguments = arguments
    var rest = arguments[...]
    while let flag = rest.popFirst() {
      switch flag {
      case "--filter": filter = try BenchOptions.value(flag, &rest)
      case "--device": device = try BenchOptions.value(flag, &rest)
      case "--json": jsonFile = try BenchOptions.value(flag, &rest)
      case "--workload":
        let name = try BenchOptions.value(flag, &rest)
        guard let known = Workload.all.first(where: { $0.name == name }) else {
          throw UsageError(message: "no workload '\(name)'; there are \(Workload.names)")
        }
        workload = known
      case "--batch": batch = try BenchOptions.number(flag, &rest)
      case "--channels": channels = try BenchOptions.number(flag, &rest)
      case "--cells": cells = try BenchOptions.number(flag, &rest)
      case "--space": space = try BenchOptions.value(flag, &rest)
      case "--steps": steps = try BenchOptions.number(flag, &rest)
      case "--verify": isVerifying = true
      default: throw UsageError(message: "unknown option '\(flag)'\n\(BenchOptions.usage)")
      }
    }
    if workload != nil && device == "all" {
      throw UsageError(message: "--workload runs on one device, not on 'all'")
    }
    // The process that verifies must not replace the file of the one that started it.
    if isVerifying { jsonFile = nil }
  }

  /// Whether a row is wanted.
  func wants(_ texts: String...) -> Bool {
    guard let filter else { return true }
    return texts.joined(separator: " ").lowercased().contains(filter.lowercased())
  }

  private static func value(
    _ flag: String, _ rest: inout ArraySlice<String>
  ) throws(UsageError) -> String {
    guard let value = rest.popFirst() else {
      throw UsageError(message: "\(flag) needs a value\n\(usage)")
    }
    return value
  }

  private static func number(
    _ flag: String, _ rest: inout ArraySlice<String>
  ) throws(UsageError) -> Int {
    let text = try value(flag, &rest)
    guard let number = Int(text), (1...1_000_000).contains(number) else {
      throw UsageError(message: "\(flag) '\(text)': a whole number from 1 to 1000000")
    }
    return number
  }
}
