import ArgumentParser
import Espalier
import EspalierTensor
import Foundation

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure a network's accuracy, size, latency and memory.",
    usage: "espalier evaluate <options>",
    discussion: """
      Example:
        espalier evaluate --space darts --architecture runs/b/architecture.json \\
          --data fashion-mnist-mini --checkpoint runs/b/checkpoint.safetensors

      A checkpoint says how its network is made; a flag that contradicts it is an error. Without \
      one the weights are fresh. --set images=N looks at the first N test images.
      """)

  @OptionGroup var task: TaskOptions

  @Option(help: ArgumentHelp("The architecture.", valueName: "file"))
  var architecture: String?

  @Option(help: ArgumentHelp("The weights: a run's checkpoint.safetensors.", valueName: "file"))
  var checkpoint: String?

  func run() throws {
    let given = try task.given()
    var fields = try RunFields.merged(
      given: given, config: task.config, resumed: nil, output: nil, verb: "evaluate")
    let facts = try checkpoint.map { try CheckpointFacts($0) }
    if let facts { fields = try facts.complete(fields, isNetworkOnly: false) }
    let batch = try fields.integer("batch", default: 96, in: 1...1_000_000)
    guard let architecture else { throw UsageError("--architecture is missing") }
    let read = try Architecture(contentsOf: architecture)
    let work = try WorkTask(
      fields, given: given, dataSeed: given["seed"] == nil ? facts?.dataSeed : nil,
      extra: SettingDescription.common)
    try facts?.requireSameImages(work)
    for warning in SizeWarnings.evaluate(work) { Console.note("warning: \(warning)") }
    let space = try work.space.searchSpace(work.spaceSettings)
    let choices = Architecture(try read.resolved(against: space.choices), in: space.choices)
    if let trained = facts?.architecture, trained != choices {
      throw UsageError(
        "\(architecture): another architecture than the one \(facts?.file ?? "") was trained with")
    }
    try Device.with(work.device) {
      let net =
        facts?.kind == "search" ? try work.makeSupernet() : try work.makeRetrainingNetwork()
      try net.apply(choices)
      if let facts { try facts.checkpoint.restore(net, name: facts.file) }
      let mode: Mode = facts?.kind == "search" ? .supernetEvaluation : .evaluation
      report(try Heartbeat.during("evaluate") { _ in try measure(net, work, batch, mode: mode) })
    }
  }

  private func measure(_ net: any SpaceModel, _ work: WorkTask, _ batch: Int, mode: Mode) throws
    -> JSONObject
  {
    let test = work.data.test
    let names = ["images", "test_images"]
    let limits = try names.compactMap {
      try work.settings.optionalInteger($0, in: 1...Int.max)
    }
    let count = limits.reduce(test.count, min)
    let loader = DataLoader(
      test, indices: Array(0..<count), batchSize: batch,
      transforms: [Normalize(work.data.statistics)], seed: 0, shuffles: false)
    let result = try Espalier.evaluate(loader, objective: .classification(), mode: mode) { net($0) }
    let cost = ModelCost(of: net, image: work.image)
    let latency = try Measurement.latency(of: net, image: work.image)
    return [
      "accuracy": .number(result.accuracy), "loss": .number(result.loss),
      "images": .integer(result.count), "parameters": .integer(cost.parameters),
      "multiply_adds": .integer(cost.multiplyAdds), "latency_s": .number(latency),
      "peak_bytes": .integer(Measurement.peakBytes + work.device.peakBytes),
      "device": .string("\(work.device)"),
    ]
  }

  private func report(_ object: JSONObject) {
    if task.json { return Console.output(JSONValue.object(object).compactText) }
    var table = Table(["measure", "value"])
    for (name, label) in [
      ("accuracy", "accuracy"), ("loss", "loss"), ("images", "test images"),
      ("parameters", "parameters"), ("multiply_adds", "multiply-adds an image"),
      ("peak_bytes", "peak memory in bytes"), ("device", "device"),
    ] { table.add([label, object.shortText(of: name) ?? "-"]) }
    if let seconds = object["latency_s"]?.double {
      table.add(["latency of one image", String(format: "%.3f ms", seconds * 1000)])
    }
    Console.output(table.text)
  }
}

/// What is measured on the running process.
enum Measurement {
  /// The median time of a forward pass of one image, in seconds.
  static func latency(of net: any SpaceModel, image: ImageShape, runs: Int = 15) throws -> Double {
    let pixels = [Float](repeating: 0.5, count: image.channels * image.height * image.width)
    var times: [Double] = []
    for _ in 0..<runs + 3 {
      let start = ProcessInfo.processInfo.systemUptime
      let output = try step { () -> Tensor in
        let input = try Tensor(
          pixels, shape: [1, image.channels, image.height, image.width], order: .channelsLast)
        return Mode.with(.evaluation) { net(input) }
      }
      _ = try output.scalars() as [Float]
      times.append(ProcessInfo.processInfo.systemUptime - start)
    }
    // The first passes plan and warm the caches.
    let sorted = times.dropFirst(3).sorted()
    return sorted[sorted.count / 2]
  }

  /// The largest resident size so far, in bytes.
  static var peakBytes: Int {
    let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    for line in text.split(separator: "\n") where line.hasPrefix("VmHWM:") {
      return (line.split(separator: " ").compactMap { Int($0) }.first ?? 0) * 1024
    }
    return 0
  }
}
