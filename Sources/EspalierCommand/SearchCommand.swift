import ArgumentParser
import Espalier
import Foundation

struct SearchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "search",
    abstract: "Train a supernet by a strategy and write the best architecture.",
    discussion: """
      Example:
        espalier search --space darts --strategy darts --data fashion-mnist-mini \\
          --epochs 5 --set channels=8 --set cells=3 --output runs/a

      Writes architecture.json, config.json, log.jsonl, epochs/, checkpoints and summary.json. \
      Ctrl-C stops after the step with a checkpoint, a second one at once; --resume goes on bit \
      for bit.

      Settings: `espalier space show SPACE`, `espalier strategies`; common ones are images, \
      test_images, split, evaluations, learning_rate, momentum, weight_decay, clip_norm, crop, \
      flip.
      """)

  @OptionGroup var task: TaskOptions
  @OptionGroup var options: RunOptions

  @Option(help: "The strategy; `espalier strategies` shows all.")
  var strategy: String?

  @Option(
    name: .customLong("limit"),
    help: ArgumentHelp(
      "The largest cost of the result for one image in the retraining network; repeatable: "
        + "multiply_adds, parameters, latency_s.", valueName: "key=n"))
  var limits: [String] = []

  @Option(
    help: ArgumentHelp(
      "What candidates take on a device, so that latency_s is known; `espalier latency` writes it.",
      valueName: "file"))
  var latencyTable: String?

  @Flag(help: "Leave out the random architectures that are evaluated beside the result.")
  var noBaseline = false

  @Flag(help: "Check everything and say what would run, without writing anything.")
  var dryRun = false

  func run() throws {
    var given = try task.given()
    options.add(to: &given)
    given["strategy"] = strategy
    if !limits.isEmpty {
      given["limit"] = try CostLimits(parsing: limits).texts.joined(separator: ",")
    }
    given["latency_table"] = latencyTable.map(absolutePath)
    if noBaseline { given["baseline"] = "false" }
    let resumed = options.resume ? try RunFields.resumed(options.output, verb: "search") : nil
    let fields = try RunFields.merged(
      given: given, config: task.config, resumed: resumed, output: options.output, verb: "search")
    if options.resume && resumed == nil {
      try fields.requireBeginning(["space", "strategy", "data"], output: options.output)
    }
    if resumed != nil, let output = options.output,
      FileManager.default.fileExists(atPath: "\(output)/summary.json")
    {
      return try report(output)
    }
    try RunFolder.requireUsable(options.output, isResuming: options.resume)
    let plan = try SearchPlan(fields, given: given)
    for warning in plan.warnings { Console.note("warning: \(warning)") }
    if dryRun { return try plan.describe(json: task.json) }
    let folder = try RunFolder(output: options.output, isResuming: options.resume, json: task.json)
    do {
      if resumed == nil {
        try folder.directory.write(.object(plan.configuration), to: "config.json")
      }
      Interruption.pollsSignals()
      try plan.run(in: folder.directory, isResuming: options.resume)
    } catch {
      folder.abandonIfUntouched()
      throw error
    }
    try report(folder.path)
  }

  /// Prints the result of a finished run.
  private func report(_ path: String) throws {
    var object = try InputFile.object(of: "\(path)/summary.json", expected: "a run's summary")
    if task.json {
      object["output"] = .string(path)
      object["architecture"] = .object(
        try InputFile.object(of: "\(path)/architecture.json", expected: "a run's architecture"))
      return Console.output(JSONValue.object(object).compactText)
    }
    var table = Table(["search", ""])
    table.add(["architecture", "\(path)/architecture.json"])
    for (key, label) in [
      ("validation_accuracy", "validation accuracy, shared weights"),
      ("random_baseline_accuracy", "best of random architectures"),
      ("parameters", "parameters of the supernet"), ("search_seconds", "seconds"),
    ] {
      if let value = object.shortText(of: key) { table.add([label, value]) }
    }
    if case .object(let costs)? = object["costs"] {
      for key in CostKey.allCases {
        guard let cost = costs[key.rawValue]?.double else { continue }
        table.add(["\(CostText.label(key)) of the result, retrained", key.text(cost)])
      }
    }
    Console.output(table.text)
    for front in try ParetoFront.all(inCandidatesOf: path) { Console.output(front.text) }
  }
}

extension JSONObject {
  /// A member for tables: seconds with one decimal, other numbers with four; nil where it is not there.
  func shortText(of key: String) -> String? {
    switch self[key] {
    case .number(let value)?: String(format: key.hasSuffix("seconds") ? "%.1f" : "%.4f", value)
    case .string(let text)?: text
    case let value?: value.compactText
    case nil: nil
    }
  }
}
