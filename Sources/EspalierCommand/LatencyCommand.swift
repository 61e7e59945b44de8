import ArgumentParser
import Espalier
import EspalierTensor
import Foundation

struct LatencyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "latency",
    abstract: "Measure what each candidate of a space takes on a device.",
    discussion: """
      Example:
        espalier latency --space darts --device opencl:0 --data fashion-mnist-mini \\
          --set channels=8 --set cells=5 -o latency.csv
        espalier search --space darts --strategy random --data fashion-mnist-mini \\
          --set channels=8 --set cells=5 --latency-table latency.csv --limit latency_s=0.02

      Candidates are those of the retraining network at the given --set, in evaluation, each \
      computation at each input shape once: the median of 15 runs behind 3 that warm up, for one \
      image. What is outside of choices is a row too. A network's latency_s is the sum over what \
      it runs.
      """)

  @Option(help: "The search space; `espalier space list` shows all.") var space: String

  @Option(help: "auto, cpu or opencl:N as `espalier devices` counts.") var device = "auto"

  @Option(
    help: ArgumentHelp(
      "The images, whose shape and classes count; see `espalier search`.", valueName: "name"))
  var data: String?

  @Option(
    help: ArgumentHelp(
      "Shape of an image where there is no --data (default: 3x32x32, 10 classes).",
      valueName: "CxHxW"))
  var image: String?

  @Option(help: "Images at a time.") var batch = 1

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("A setting of the space; repeatable.", valueName: "key=value"))
  var settings: [String] = []

  @Option(name: [.short, .long], help: ArgumentHelp("The table to write.", valueName: "file"))
  var output: String

  @Flag(help: "Replace a file with other contents.") var force = false

  @Flag(help: "Print one line of JSON.") var json = false

  func validate() throws {
    if data != nil && image != nil { throw ValidationError("--image: --data says it already") }
    if !(1...65_536).contains(batch) {
      throw ValidationError("--batch \(batch): expected a whole number from 1 to 65536")
    }
  }

  func run() throws {
    let definition = try SpaceCatalog.named(space)
    let values = try RunFields(settings: settings).settings
    try WorkTask.check(values, against: definition.settings)
    let device = try Device(named: device)
    try device.probe()
    if !force { try requireFree() }
    let spaceSettings = try spaceSettings(values)
    var table = LatencyTable(
      space: definition.name,
      settings: values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        .joined(separator: " "), device: "\(device)", batch: batch)
    try Device.with(device) {
      let network = try InitialWeights.with(seed: 0) {
        try definition.network(.retraining, spaceSettings)
      }
      var measurement = try LatencyMeasurement(
        of: network, image: spaceSettings.image, batch: batch)
      try Heartbeat.during("latency") { heart in
        try measurement.measure(into: &table) { done, count in
          heart.step()
          if Console.isTerminal { Console.progress("latency  \(done) of \(count) measured") }
        }
      }
      Console.endProgress()
    }
    try ExportCommand.write(table.text, to: output, force: force)
    report(table)
  }

  /// Throws before anything is measured where the file is there: no two measurements are equal.
  private func requireFree() throws {
    if FileManager.default.fileExists(atPath: output) {
      throw UsageError("\(output) exists; name another file, or replace it with --force")
    }
  }

  private func spaceSettings(_ values: [String: String]) throws -> SpaceSettings {
    guard let data else {
      return SpaceSettings(
        image: try ImageShape(text: image ?? "3x32x32"), classes: 10, values: values)
    }
    let loaded = try DataSource.parse(data).load(seed: 0)
    guard let classes = loaded.classCount else {
      throw UsageError("--data \(data): has no classes")
    }
    let shape = ImageShape(
      channels: loaded.train.channels, height: loaded.train.height, width: loaded.train.width)
    return SpaceSettings(image: shape, classes: classes, values: values)
  }

  private func report(_ table: LatencyTable) {
    if json {
      return Console.output(
        JSONValue.object([
          "output": .string(output), "space": .string(table.space),
          "device": .string(table.device), "batch": .integer(table.batch),
          "rows": .integer(table.rows.count),
        ]).compactText)
    }
    var text = Table(["choice", "candidate", "input", "ms an image"])
    for row in table.rows {
      text.add([
        row.choice, row.candidate, row.input, String(format: "%.4f", row.seconds * 1000),
      ])
    }
    Console.output(text.text)
  }
}
