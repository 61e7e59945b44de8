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
    options.reportsBaseline = fields["baseline"] != "false"
    options.metadata = CheckpointFacts.metadata(
      kind: "search", task: task, seed: task.seed, dataSeed: task.seed, batch: batch,
      epochs: epochs, more: ["strategy": name])
    self.options = options
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
    try Device.with(task.device) {
      let trainer = SearchTrainer(
        net, strategy: strategy, data: task.data, epochs: epochs,
        logFrequency: logEvery, options: options, directory: directory)
      trainer.callbacks = ProgressReport("search").callbacks()
      try trainer.train(isResuming: isResuming)
      Console.endProgress()
    }
  }

  /// Says what would run.
  func describe(json: Bool) throws {
    let space = try task.space.searchSpace(task.spaceSettings)
    let images = min(options.images ?? .max, task.data.train.count)
    let training = Int((Double(images) * options.split).rounded())
    let steps = epochs * max(1, (training + options.batchSize - 1) / options.batchSize)
    var object = configuration
    object["steps"] = .integer(steps)
    object["choices"] = .integer(space.choices.count)
    object["parameters"] = .integer(net.parameterCount)
    if json { return Console.output(JSONValue.object(object).compactText) }
    Console.output(
      """
      would search \(task.space.name) by \(strategyDefinition.name) on \(task.source), \
      images \(task.image.text), \(task.device): \(steps) steps, \(space.choices.count) choices, \
      \(net.parameterCount) parameters in the supernet
      """)
  }
}
