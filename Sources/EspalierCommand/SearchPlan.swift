import Espalier
import EspalierTensor

/// A search that was checked and can run.
struct SearchPlan {
  let task: WorkTask
  let strategy: any SearchStrategy
  let strategyDefinition: StrategyDefinition
  let options: SearchOptions
  let epochs: Int
  let logEvery: Int
  /// Sizes that are hardly meant, one sentence each.
  let warnings: [String]
  private let fields: RunFields
  private let net: any SpaceModel

  /// Checks everything that can be checked without training.
  ///
  /// - Parameters:
  ///   - fields: What flags and configuration say together.
  ///   - given: The flags alone.
  init(_ fields: RunFields, given: RunFields) throws {
    let names = StrategyDefinition.all.map(\.name)
    let name = try fields.required("strategy", valid: names)
    guard let definition = StrategyDefinition.named(name) else {
      throw UsageError(unknown: "strategy", name, valid: names)
    }
    strategyDefinition = definition
    let batch = try fields.integer("batch", default: 64, in: 1...1_000_000)
    epochs = try fields.integer("epochs", default: 50, in: 1...1_000_000)
    logEvery = try fields.integer("log_every", default: 10, in: 1...1_000_000)
    let task = try WorkTask(
      fields, given: given, extra: definition.parameters + SearchOptions.settings())
    self.task = task
    strategy = try definition.make(task.settings)
    var options = try SearchOptions(task.settings, augmentation: task.augmentation)
    options.batchSize = batch
    options.seed = task.seed
    options.makeNetwork = { try task.makeNetwork($0, settings: $1) }
    options.limits = try CostLimits(
      parsing: (fields["limit"] ?? "").split(separator: ",").map(String.init))
    options.latency = try fields["latency_table"].map { try LatencyTable(path: $0) }
    options.reportsBaseline = fields["baseline"] != "false"
    options.metadata = CheckpointFacts.metadata(
      kind: "search", task: task, seed: task.seed, dataSeed: task.seed, batch: batch,
      epochs: epochs,
      more: ["strategy": name].merging(
        ["limit": fields["limit"], "latency_table": options.latency.map { "\($0.fingerprint)" }]
          .compactMapValues { $0 }
      ) { $1 })
    self.options = options
    if !options.limits.isEmpty || options.latency != nil {
      // Before a folder is made.
      try ArchitectureCosts(image: task.image, latency: options.latency) {
        try task.makeRetrainingNetwork()
      }.requireReachable(options.limits)
    }
    warnings = SizeWarnings.search(task, options)
    self.fields = fields
    net = try Device.with(task.device) { try task.makeSupernet() }
  }

  /// All that is needed to repeat the run.
  var configuration: JSONObject {
    var all = fields
    all.settings = task.settings.texts
    all["space"] = task.space.name
    all["strategy"] = strategyDefinition.name
    all["data"] = "\(task.source.absolute)"
    all["device"] = "\(task.device)"
    all["seed"] = "\(task.seed)"
    all["batch"] = "\(options.batchSize)"
    all["epochs"] = "\(epochs)"
    all["log_every"] = "\(logEvery)"
    all["baseline"] = "\(options.reportsBaseline)"
    var object = all.json
    object["versions"] = .object(["espalier": .string(CommandLineTool.version)])
    object["hyper_parameters"] = .object(
      task.hyperParameters(
        task.space.settings + strategyDefinition.parameters
          + SearchOptions.settings(task.augmentation), isRetraining: false))
    return object
  }

  func run(in directory: RunDirectory, isResuming: Bool) throws {
    Console.note("search  \(try sentence())")
    try Device.with(task.device) {
      let trainer = makeTrainer(in: directory)
      try Heartbeat.during("search") { heart in
        trainer.callbacks = ProgressReport("search").callbacks(with: heart)
        try CheckpointFacts.withRemedy("begin again in another --output") {
          _ = try trainer.train(isResuming: isResuming)
        }
      }
      Console.endProgress()
    }
  }

  private func makeTrainer(in directory: RunDirectory?) -> SearchTrainer {
    SearchTrainer(
      net, strategy: strategy, data: task.data, epochs: epochs, logFrequency: logEvery,
      options: options, directory: directory)
  }

  /// Says what would run; throws where a run would be refused before its first step.
  func describe(json: Bool) throws {
    try Device.with(task.device) { try makeTrainer(in: nil).check() }
    guard json else { return Console.output("would search \(try sentence())") }
    var object = configuration
    object["steps"] = .integer(epochs * stepsInEpoch)
    object["choices"] = .integer(try choiceCount())
    object["parameters"] = .integer(net.parameterCount)
    Console.output(JSONValue.object(object).compactText)
  }

  private var stepsInEpoch: Int {
    let images = task.halves(options).weights
    return (images + options.batchSize - 1) / options.batchSize
  }

  private func choiceCount() throws -> Int {
    try task.space.searchSpace(task.spaceSettings).choices.count
  }

  private func sentence() throws -> String {
    let (weights, held) = task.halves(options)
    return "\(task.space.name) by \(strategyDefinition.name) on \(task.source), images "
      + "\(task.image.text), \(task.device): \(try choiceCount()) choices, "
      + "\(net.parameterCount) parameters in the supernet, "
      + "\(RunText.count(weights, "image")) for weights, \(held) held out, "
      + RunText.steps(stepsInEpoch, epochs: epochs)
  }
}
