import ArgumentParser
import Espalier
import EspalierTensor
import Foundation

struct RankCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rank",
    abstract:
      "Compare how a trained supernet ranks architectures with a table of their accuracies.",
    discussion: """
      Example:
        espalier rank --space nas-bench-201 --table nb201_accuracy.csv.gz \\
          --score c10_test_e200 --data cifar10:DIR --checkpoint runs/a/checkpoint.safetensors

      Draws rows of the table, evaluates each one's architecture (column arch) on test images with \
      the supernet's weights and batch-norm statistics of its own, and prints rank correlations of \
      these accuracies, and of the number of parameters, with the table's score. --set test_images=N \
      looks at the first N test images, --set recalibration_images=N makes statistics over so many.
      """)

  @OptionGroup var task: TaskOptions

  @Option(
    help: ArgumentHelp(
      "Comma-separated values with a header, perhaps gzip; column arch is the architecture.",
      valueName: "file"))
  var table: String?

  @Option(help: ArgumentHelp("The column that holds the score.", valueName: "column"))
  var score: String?

  @Option(
    help: ArgumentHelp("The supernet's weights: a search's checkpoint.", valueName: "file"))
  var checkpoint: String?

  @Option(help: "Architectures drawn (default: 200).")
  var sample = 200

  func validate() throws {
    if sample < 3 { throw ValidationError("--sample \(sample): expected at least 3") }
  }

  func run() throws {
    guard let table else { throw UsageError("--table is missing") }
    guard let score else { throw UsageError("--score is missing") }
    guard let checkpoint else { throw UsageError("--checkpoint is missing") }
    let given = try task.given()
    let rows = try ArchitectureTable(table, score: score)
    let drawn = try rows.sample(sample, seed: given.seed())
    let facts = try CheckpointFacts(checkpoint)
    guard facts.kind == "search" else {
      throw UsageError("\(facts.file): is of a retraining, expected a search's")
    }
    var fields = try RunFields.merged(
      given: given, config: task.config, resumed: nil, output: nil, verb: "rank")
    // The images that trained the weights are those of the search.
    for name in ["images", "split"] where fields.settings[name] == nil {
      fields.settings[name] = facts.fields.settings[name]
    }
    fields = try facts.complete(fields, isNetworkOnly: false)
    let work = try WorkTask(
      fields, given: given, dataSeed: facts.dataSeed,
      extra: SearchOptions.settings())
    try facts.requireSameImages(work)
    var options = try SearchOptions(work.settings, augmentation: work.augmentation)
    options.batchSize = try fields.integer("batch", default: 64, in: 1...1_000_000)
    options.seed = try facts.fields.seed()
    try Device.with(work.device) {
      let net = try work.makeSupernet()
      try facts.checkpoint.restore(net, name: facts.file)
      report(
        try Heartbeat.during("rank") { heart in
          try measure(net, work, options, rows, drawn) { heart.step() }
        })
    }
  }

  private func measure(
    _ net: some SpaceModel, _ work: WorkTask, _ options: SearchOptions, _ rows: ArchitectureTable,
    _ drawn: [Int], evaluated: () -> Void
  ) throws -> JSONObject {
    let evaluate = try SupernetEvaluator(
      net, data: work.data, options: options,
      testImages: work.settings.optionalInteger("test_images", in: 1...Int.max))
    var (truth, accuracy, parameters) = ([Double](), [Double](), [Double]())
    for index in drawn {
      let (architecture, score) = try rows.row(index, of: evaluate.choices)
      let choices = try architecture.resolved(against: evaluate.choices)
      truth.append(score)
      accuracy.append(try evaluate(choices).accuracy)
      let pruned = try work.makeRetrainingNetwork()
      try pruned.apply(architecture)
      parameters.append(Double(pruned.parameterCount))
      evaluated()
    }
    func known(_ value: Double?, _ what: String) throws -> JSONValue {
      guard let value else {
        throw RunError(
          "no rank correlation: all \(drawn.count) architectures have the same \(what)")
      }
      return .number(value)
    }
    return [
      "spearman": try known(RankCorrelation.spearman(accuracy, truth), "accuracy or score"),
      "kendall": try known(RankCorrelation.kendall(accuracy, truth), "accuracy or score"),
      "spearman_parameters": try known(
        RankCorrelation.spearman(parameters, truth), "number of parameters"),
      "partial_spearman": try known(
        RankCorrelation.partialSpearman(accuracy, truth, fixing: parameters), "order by parameters"),
      "sample": .integer(drawn.count),
    ]
  }

  private func report(_ object: JSONObject) {
    if task.json { return Console.output(JSONValue.object(object).compactText) }
    var table = Table(["rank correlation with \(score ?? "")", "value"])
    for (name, label) in [
      ("spearman", "Spearman"), ("kendall", "Kendall, tau-b"),
      ("spearman_parameters", "Spearman of the number of parameters"),
      ("partial_spearman", "Spearman, parameters held fixed"), ("sample", "architectures"),
    ] { table.add([label, object.shortText(of: name) ?? "-"]) }
    Console.output(table.text)
  }
}
