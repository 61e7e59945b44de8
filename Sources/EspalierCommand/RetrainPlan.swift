import Espalier
import EspalierTensor
import Foundation

/// Retrainings that were checked and can run: one, or several in folders of their own.
struct RetrainPlan {
  /// One training.
  struct Job {
    var group: String
    var folder: String
    var seed: UInt64
    var architecture: Architecture
  }

  /// Sizes that are hardly meant, one sentence each.
  let warnings: [String]
  let task: WorkTask
  let options: RetrainOptions
  let batch: Int
  let epochs: Int
  private let logEvery: Int
  let architecture: Architecture
  private let inherited: CheckpointFacts?
  private let dataSeed: UInt64
  private let fields: RunFields
  private(set) var jobs: [Job] = []

  /// Checks everything that can be checked without training.
  ///
  /// - Parameters:
  ///   - fields: What flags and configuration say together.
  ///   - given: The flags alone.
  ///   - resumedFolder: The folder of the run that goes on; its own architecture counts.
  init(_ fields: RunFields, given: RunFields, resumedFolder: String?) throws {
    var fields = fields
    inherited = try fields["inherit"].map { try CheckpointFacts($0) }
    if let inherited { fields = try inherited.complete(fields, isNetworkOnly: true) }
    batch = try fields.integer("batch", default: 96, in: 1...1_000_000)
    epochs = try fields.integer("epochs", default: 20, in: 1...1_000_000)
    logEvery = try fields.integer("log_every", default: 10, in: 1...1_000_000)
    let seedCount = try fields.integer("seeds", default: 1, in: 1...1000)
    var path = try fields.required("architecture", valid: [])
    if let own = resumedFolder.map({ "\($0)/architecture.json" }),
      FileManager.default.fileExists(atPath: own)
    {
      path = own
    }
    let read = try Architecture(contentsOf: path)
    dataSeed = try fields["data_seed"].flatMap { UInt64($0) } ?? fields.seed()
    task = try WorkTask(fields, given: given, dataSeed: dataSeed, extra: RetrainOptions.settings())
    try inherited?.requireSameImages(task)
    let space = try task.space.searchSpace(task.spaceSettings)
    architecture = Architecture(try read.resolved(against: space.choices), in: space.choices)
    var options = try RetrainOptions(
      task.settings, augmentation: task.augmentation, trainingImages: task.data.train.count)
    options.batchSize = batch
    self.options = options
    warnings = SizeWarnings.retrain(task, options)
    self.fields = fields
    var groups = [("retrain", architecture)]
    if fields["baseline"] == "true" {
      groups.append(("baseline", space.firstRandomArchitecture(seed: task.seed &+ 1)))
    }
    for (group, architecture) in groups {
      for seed in (0..<UInt64(seedCount)).map({ task.seed &+ $0 }) {
        let parts =
          (groups.count > 1 ? [group] : []) + (seedCount > 1 ? ["seed-\(seed)"] : [])
        jobs.append(
          Job(
            group: group, folder: parts.joined(separator: "/"), seed: seed,
            architecture: architecture))
      }
    }
  }

  /// The summary of a finished retraining, or nil.
  static func finished(in path: String) -> JSONObject? {
    let object = try? InputFile.object(of: "\(path)/summary.json", expected: "a run's summary")
    return object?["test_accuracy"] == nil ? nil : object
  }

  /// All that is needed to repeat one training, or all of them.
  func configuration(_ job: Job?, _ directory: RunDirectory?) -> JSONValue {
    var all = fields
    all.settings = task.settings.texts
    all["space"] = task.space.name
    all["data"] = "\(task.source.absolute)"
    all["device"] = "\(task.device)"
    all["seed"] = "\(job?.seed ?? task.seed)"
    all["batch"] = "\(batch)"
    all["epochs"] = "\(epochs)"
    all["log_every"] = "\(logEvery)"
    all["seeds"] = all["seeds"] ?? "1"
    all["baseline"] = all["baseline"] ?? "false"
    if let job {
      if job.seed != dataSeed { all["data_seed"] = "\(dataSeed)" }
      if let directory, !job.folder.isEmpty {
        all["architecture"] = absolutePath(directory.file("architecture.json"))
        (all["seeds"], all["baseline"]) = (nil, nil)
      }
    }
    var object = all.json
    object["versions"] = .object(["espalier": .string(CommandLineTool.version)])
    object["hyper_parameters"] = .object(
      task.hyperParameters(
        task.space.settings + RetrainOptions.settings(task.augmentation), isRetraining: true))
    return .object(object)
  }

  /// Writes `config.json` and `architecture.json` where they are not there yet.
  func writeConfiguration(to directory: RunDirectory) throws {
    let isGroup = jobs.count > 1
    // Beside a search, whose own configuration stays.
    let isTaken =
      try directory.has("config.json")
      && RunFields(file: directory.file("config.json"))["verb"] != "retrain"
    let name = isGroup && isTaken ? "retrain.json" : "config.json"
    if !directory.has(name) {
      try directory.write(configuration(isGroup ? nil : jobs[0], directory), to: name)
    }
    if !directory.has("architecture.json") {
      try directory.write(architecture.jsonText, to: "architecture.json")
    }
  }

  /// Trains what is not trained yet and writes the summary.
  func run(in directory: RunDirectory, isResuming: Bool) throws -> JSONObject {
    var results: [String: [JSONObject]] = [:]
    for job in jobs {
      results[job.group, default: []].append(try run(job, in: directory, isResuming))
    }
    guard jobs.count > 1 else { return results["retrain"]?.first ?? [:] }
    var summary: JSONObject = [:]
    if case .object(let search)? = try? directory.read("summary.json") {
      summary = search
      // Under its own name: the retrained baseline is measured on the test set.
      summary["search_random_baseline_accuracy"] = search["random_baseline_accuracy"]
    }
    summary.add(results["retrain"] ?? [], names: RetrainPlan.names)
    summary.add(results["baseline"] ?? [], names: RetrainPlan.baselineNames)
    try directory.write(.object(summary), to: "summary.json")
    return summary
  }

  private static let names = [
    "test_accuracy": "test_accuracy", "parameters": "parameters",
    "multiply_adds": "multiply_adds", "retrain_seconds": "retrain_seconds",
  ]
  private static let baselineNames = [
    "test_accuracy": "random_baseline_accuracy", "parameters": "baseline_parameters",
    "multiply_adds": "baseline_multiply_adds", "retrain_seconds": "baseline_seconds",
  ]

  private func run(_ job: Job, in parent: RunDirectory, _ isResuming: Bool) throws -> JSONObject {
    let isOwn = job.folder.isEmpty
    let path = isOwn ? parent.path : parent.file(job.folder)
    if !isOwn && isResuming, let summary = RetrainPlan.finished(in: path) { return summary }
    let directory = isOwn ? parent : try RunDirectory(path, isResuming: isResuming)
    if !isOwn && !directory.has("config.json") {
      try directory.write(job.architecture.jsonText, to: "architecture.json")
      try directory.write(configuration(job, directory), to: "config.json")
    }
    let result = try Device.with(task.device) { try train(job, directory, isResuming) }
    try directory.write(.object(result), to: "summary.json")
    return result
  }

  /// The network of a job before its first step.
  func makeNetwork(_ job: Job) throws -> any SpaceModel {
    let net = try task.makeRetrainingNetwork(seed: job.seed)
    try net.apply(job.architecture)
    if let inherited {
      let missing = try inherited.checkpoint.restore(
        net, name: inherited.file, allowsMissing: true)
      if !missing.isEmpty {
        Console.note("\(inherited.file) has nothing for \(missing.count) tensors; they start fresh")
      }
    }
    return net
  }

  private func train(_ job: Job, _ directory: RunDirectory, _ isResuming: Bool) throws
    -> JSONObject
  {
    let net = try makeNetwork(job)
    let cost = ModelCost(of: net, image: task.image)
    var options = options
    options.seed = job.seed
    options.metadata = CheckpointFacts.metadata(
      kind: "retrain", task: task, seed: job.seed, dataSeed: dataSeed, batch: batch,
      epochs: epochs, more: ["architecture": job.architecture.json.compactText])
    let trainer = Retrainer(
      net, data: task.data, epochs: epochs, logFrequency: logEvery, options: options,
      directory: directory)
    let label = jobs.count > 1 ? job.folder : "retrain"
    Console.note("\(label)  \(sentence(parameters: cost.parameters))")
    let result = try Heartbeat.during(label) { heart in
      trainer.callbacks = ProgressReport(label).callbacks(with: heart)
      return try CheckpointFacts.withRemedy("begin again in another --output") {
        try trainer.train(isResuming: isResuming)
      }
    }
    return [
      "test_accuracy": .number(result.test.accuracy), "test_loss": .number(result.test.loss),
      "parameters": .integer(result.parameters), "multiply_adds": .integer(cost.multiplyAdds),
      "retrain_seconds": .number(result.seconds),
    ]
  }
}
