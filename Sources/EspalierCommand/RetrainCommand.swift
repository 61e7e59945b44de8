import ArgumentParser
import Espalier
import Foundation

struct RetrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retrain",
    abstract: "Train a network with a fixed architecture from the beginning.",
    discussion: """
      Example:
        espalier retrain --space darts --architecture runs/a/architecture.json \\
          --data fashion-mnist-mini --epochs 10 --set channels=16 \\
          --set cells=5 --output runs/b

      --baseline also trains a random architecture at equal budget; then --output holds the run \
      folders `retrain` and `baseline`. With --seeds K each of these holds K run folders `seed-S`.

      Settings: `espalier space show SPACE`, and images, test_images, split, learning_rate, \
      final_learning_rate, momentum, weight_decay, clip_norm, crop, flip, cutout, drop_path, \
      checkpoint_interval. \
      Colour images of at least 32 pixels get crop 4, flip, cutout 16 and drop_path 0.2 by \
      default, other images nothing.
      """)

  @OptionGroup var task: TaskOptions
  @OptionGroup var options: RunOptions

  @Option(help: ArgumentHelp("The architecture.", valueName: "file"))
  var architecture: String?

  @Option(help: ArgumentHelp("Start from the weights of this checkpoint.", valueName: "checkpoint"))
  var inherit: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Train with K seeds, from --seed on.", valueName: "k"),
    transform: wholeNumber)
  var seeds: Int?

  @Flag(help: "Also train the first architecture that `random` draws with the next seed.")
  var baseline = false

  @Flag(help: "Check everything and say what would run, without writing anything.")
  var dryRun = false

  func run() throws {
    var given = try task.given()
    options.add(to: &given)
    given["architecture"] = architecture.map(absolutePath)
    given["inherit"] = inherit.map(absolutePath)
    given["seeds"] = seeds.map(String.init)
    if baseline { given["baseline"] = "true" }
    let resumed =
      options.resume
      ? try RunFields.resumed(
        options.output, verb: "retrain",
        names: baseline ? ["config.json", "retrain.json"] : ["config.json"]) : nil
    let fields = try RunFields.merged(
      given: given, config: task.config, resumed: resumed, output: options.output, verb: "retrain")
    if options.resume && resumed == nil {
      // A checkpoint whose weights are inherited names the space.
      let names = ["space", "architecture", "data"].filter { $0 != "space" || inherit == nil }
      try fields.requireBeginning(names, output: options.output)
    }
    if resumed != nil, let output = options.output, let summary = RetrainPlan.finished(in: output) {
      return report(summary, output)
    }
    try RunFolder.requireUsable(options.output, isResuming: options.resume)
    let plan = try RetrainPlan(
      fields, given: given, resumedFolder: resumed.flatMap { _ in options.output })
    for warning in plan.warnings { Console.note("warning: \(warning)") }
    if dryRun { return try plan.describe(json: task.json) }
    let folder = try RunFolder(output: options.output, isResuming: options.resume, json: task.json)
    do {
      try plan.writeConfiguration(to: folder.directory)
      Interruption.pollsSignals()
      report(try plan.run(in: folder.directory, isResuming: options.resume), folder.path)
    } catch {
      folder.abandonIfUntouched()
      throw error
    }
  }

  /// Prints the result.
  private func report(_ summary: JSONObject, _ path: String) {
    var object = summary
    if task.json {
      object["output"] = .string(path)
      return Console.output(JSONValue.object(object).compactText)
    }
    var table = Table(["network", "test accuracy", "parameters", "seconds"])
    func cells(_ names: [String]) -> [String] { names.map { object.shortText(of: $0) ?? "-" } }
    table.add(
      ["\(path)/architecture.json"] + cells(["test_accuracy", "parameters", "retrain_seconds"]))
    if object["baseline_seconds"] != nil {
      table.add(
        ["random architecture"]
          + cells(["random_baseline_accuracy", "baseline_parameters", "baseline_seconds"]))
    }
    Console.output(table.text)
    if let seconds = object.shortText(of: "search_seconds") {
      Console.output("the search took \(seconds) seconds")
    }
  }
}
