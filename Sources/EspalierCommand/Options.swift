import ArgumentParser
import Espalier
import EspalierTensor

/// What `search`, `retrain` and `evaluate` share.
struct TaskOptions: ParsableArguments {
  @Option(help: "The search space; `espalier space list` shows all.")
  var space: String?

  @Option(
    help: ArgumentHelp(
      "The images: fashion-mnist-mini, synthetic, mnist:DIR, fashion-mnist:DIR, usps:DIR or "
        + "cifar10:DIR.", valueName: "name"))
  var data: String?

  @Option(help: "auto, cpu or opencl:N as `espalier devices` counts (default: auto).")
  var device: String?

  @Option(
    parsing: .unconditional,
    help: "Images in a batch (default: search 64, retrain and evaluate 96).",
    transform: wholeNumber)
  var batch: Int?

  @Option(
    parsing: .unconditional, help: "Fixes weights, shuffles and draws (default: 0).",
    transform: wholeNumber)
  var seed: UInt64?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "A setting or hyper-parameter, such as images=512, channels=8 or learning_rate=0.05; "
        + "repeatable.", valueName: "key=value"))
  var settings: [String] = []

  @Option(
    help: ArgumentHelp("A run's config.json; what flags say counts more.", valueName: "file"))
  var config: String?

  @Flag(help: "Print one line of JSON on standard output, everything else on standard error.")
  var json = false

  /// What was given, by the names of `config.json`.
  func given() throws -> RunFields {
    var fields = try RunFields(settings: settings)
    fields["space"] = space
    fields["data"] = try data.map { try DataSource.parse($0).absolute.description }
    fields["device"] = try device.map { "\(try Device(named: $0))" }
    fields["batch"] = batch.map(String.init)
    fields["seed"] = seed.map(String.init)
    return fields
  }
}

/// What verbs that write a run folder share.
struct RunOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: "Passes over the images that train weights (default: search 50, retrain 20).",
    transform: wholeNumber)
  var epochs: Int?

  @Option(
    help: ArgumentHelp(
      "The run's folder, new or empty (default: runs/N, N the next free number).",
      valueName: "dir"))
  var output: String?

  @Flag(help: "Go on with the run in --output where it stopped.")
  var resume = false

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Steps between log lines (default: 10).", valueName: "steps"),
    transform: wholeNumber)
  var logEvery: Int?

  func validate() throws {
    if output == "" { throw ValidationError("--output needs the name of a folder") }
    if resume && output == nil {
      throw ValidationError("--resume needs --output DIR, the folder of the run to go on with")
    }
  }

  func add(to fields: inout RunFields) {
    fields["epochs"] = epochs.map(String.init)
    fields["log_every"] = logEvery.map(String.init)
  }
}

/// Reads a whole number; a negative one too, whose own error says the range.
///
/// With `.unconditional` parsing, since the parser would take `-1` for another flag.
func wholeNumber<Number: FixedWidthInteger>(_ text: String) throws -> Number {
  if let number = Number(text) { return number }
  let range = Number.isSigned ? "" : " from 0 to \(Number.max)"
  throw ValidationError("expected a whole number\(range)")
}
