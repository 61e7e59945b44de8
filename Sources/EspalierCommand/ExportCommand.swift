import ArgumentParser
import Espalier
import Foundation

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write an architecture in another form.",
    usage: "espalier export --architecture <file> --format <format> <options>",
    discussion: """
      Example:
        espalier export --space darts --architecture runs/a/architecture.json \\
          --format genotype -o genotype.txt
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case json, genotype
    case nasBench201 = "nas-bench-201"
  }

  @Option(help: "The search space.") var space: String?
  @Option(help: ArgumentHelp("The architecture.", valueName: "file")) var architecture: String
  @Option(help: "json, genotype as DARTS writes it, or nas-bench-201 as its paper does.")
  var format: Format
  @Option(help: ArgumentHelp("A checkpoint, which says the space's settings.", valueName: "file"))
  var checkpoint: String?
  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("A setting of the space; repeatable.", valueName: "key=value"))
  var settings: [String] = []
  @Option(
    name: [.short, .long],
    help: ArgumentHelp("The file to write (default: standard output).", valueName: "file"))
  var output: String?
  @Flag(help: "Replace a file with other contents.") var force = false
  @Flag(help: "Print one line of JSON.") var json = false

  func run() throws {
    var fields = try RunFields(settings: settings)
    fields["space"] = space
    let given = fields
    var image = ImageShape(channels: 3, height: 32, width: 32)
    var classes = 10
    if let checkpoint {
      let facts = try CheckpointFacts(checkpoint)
      fields = try facts.complete(fields, isNetworkOnly: true)
      image = try ImageShape(text: facts.image)
      classes = Int(facts.classes) ?? classes
    }
    let definition = try SpaceCatalog.named(
      fields.required("space", valid: SpaceCatalog.all.map(\.name)))
    try WorkTask.check(given.settings, against: definition.settings)
    let choices = try definition.searchSpace(
      SpaceSettings(image: image, classes: classes, values: fields.settings)
    ).choices
    let read = try Architecture(contentsOf: architecture)
    var exported = Architecture(try read.resolved(against: choices), in: choices)
    exported.source = architecture
    let text = try text(of: exported, choices)
    if let output { try ExportCommand.write(text, to: output, force: force) }
    if json {
      var object: JSONObject = ["format": .string(format.rawValue), "text": .string(text)]
      object["output"] = output.map { .string($0) }
      Console.output(JSONValue.object(object).compactText)
    } else if output == nil {
      Console.output(String(text.dropLast()))
    }
  }

  private func text(of architecture: Architecture, _ choices: [ChoiceDescription]) throws -> String
  {
    switch format {
    case .json: return architecture.jsonText
    case .genotype:
      guard choices.contains(where: { $0.key == "normal_n2_switch" }) else {
        throw UsageError("--format genotype: only the cells of `darts` have a genotype")
      }
      return try Genotype(architecture).description + "\n"
    case .nasBench201:
      guard let text = architecture.nasBench201Text else {
        throw UsageError(
          "\(architecture.source): --format nas-bench-201 takes one operation on every edge of a "
            + "cell of `nas-bench-201`")
      }
      return text + "\n"
    }
  }

  /// Writes a file whole or not at all.
  ///
  /// - Parameter force: Whether a file with other contents is replaced.
  /// - Throws: `UsageError` where there is such a file, `RunError` where it cannot be written.
  static func write(_ text: String, to path: String, force: Bool) throws {
    var status = stat()
    // What is no file, the writer refuses.
    let isOther =
      stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
      && FileManager.default.contents(atPath: path) != Data(text.utf8)
    if isOther && !force {
      throw UsageError(
        "\(path) exists with other contents; name another file, or replace it with --force")
    }
    do {
      try AtomicFile.write(Array(text.utf8), to: path)
    } catch {
      throw RunError("\(error)")
    }
  }
}
