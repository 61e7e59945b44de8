import ArgumentParser
import Espalier

struct SpaceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "space", abstract: "List, show and export search spaces.",
    discussion: "Example: espalier space show darts --set nodes=3",
    subcommands: [SpaceList.self, SpaceShow.self, SpaceExport.self])
}

struct SpaceList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "All spaces.", discussion: "Example: espalier space list")

  @Flag(help: "Print one line of JSON.") var json = false

  func run() {
    if json {
      let list = SpaceCatalog.all.map { space in
        JSONValue.description(
          name: space.name, summary: space.summary, paper: space.paper,
          parameters: space.settings)
      }
      return Console.output(JSONValue.array(list).compactText)
    }
    var table = Table(["space", "what", "settings", "paper"])
    for space in SpaceCatalog.all {
      let names = space.settings.map(\.name).joined(separator: ", ")
      table.add([space.name, space.summary, names, space.paper])
    }
    Console.output(table.text)
  }
}

/// A space with settings, for images that need not be at hand.
struct SpaceArguments: ParsableArguments {
  @Argument(help: "The space.") var space: String

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("A setting of the space; repeatable.", valueName: "key=value"))
  var settings: [String] = []

  @Option(
    help: ArgumentHelp(
      "Shape of an image, channels x height x width.", valueName: "CxHxW"))
  var image = "3x32x32"

  func definition() throws -> SpaceDefinition { try SpaceCatalog.named(space) }

  func spaceSettings() throws -> SpaceSettings {
    let definition = try definition()
    let values = try RunFields(settings: settings).settings
    try WorkTask.check(values, against: definition.settings)
    return SpaceSettings(image: try ImageShape(text: image), classes: 10, values: values)
  }
}

struct SpaceShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "The choices and settings of a space.",
    usage: "espalier space show <space> <options>",
    discussion: "Example: espalier space show darts --set nodes=3")

  @OptionGroup var arguments: SpaceArguments
  @Flag(help: "Print one line of JSON.") var json = false

  func run() throws {
    let definition = try arguments.definition()
    let settings = try arguments.spaceSettings()
    let net = try definition.makeSupernet(settings)
    let space = try definition.searchSpace(settings)
    if json {
      guard
        case .object(var object) = JSONValue.description(
          name: definition.name, summary: definition.summary, paper: definition.paper,
          parameters: definition.settings)
      else { return }
      object["supernet_parameters"] = .integer(net.parameterCount)
      object["choices"] = .object(space.choices.classicSearchSpace)
      return Console.output(JSONValue.object(object).compactText)
    }
    let paper = definition.paper.isEmpty ? "" : " (\(definition.paper))"
    Console.output("\(definition.name): \(definition.summary)\(paper)")
    Console.output("\(net.parameterCount) parameters in the supernet at \(settings.image.text)")
    var table = Table(["key", "chooses", "from"])
    for choice in space.choices {
      let names = choice.candidateNames.map { $0.isEmpty ? "input" : $0 }.joined(separator: ", ")
      let count =
        switch choice.kind {
        case .layer, .value: "1 \(choice.kind.rawValue)"
        case .input: choice.chosenCount.map { "\($0) inputs" } ?? "any inputs"
        }
      table.add([choice.key, count, names])
    }
    Console.output(table.text)
    if !definition.settings.isEmpty {
      Console.output("")
      Console.output(JSONValue.table(of: definition.settings, title: "--set"))
    }
  }
}

struct SpaceExport: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write a space as classic search-space JSON.",
    usage: "espalier space export <space> --output <file> <options>",
    discussion: "Example: espalier space export mnist -o space.json")

  @OptionGroup var arguments: SpaceArguments
  @Option(name: [.short, .long], help: ArgumentHelp("The file to write.", valueName: "file"))
  var output: String
  @Flag(help: "Replace a file with other contents.") var force = false
  @Flag(help: "Print one line of JSON.") var json = false

  func run() throws {
    let space = try arguments.definition().searchSpace(try arguments.spaceSettings())
    let value = JSONValue.object(space.choices.classicSearchSpace)
    try ExportCommand.write(value.indentedText, to: output, force: force)
    if json {
      Console.output(JSONValue.object(["output": .string(output)]).compactText)
    } else {
      Console.note("\(output): \(space.choices.count) choices")
    }
  }
}

extension [ChoiceDescription] {
  /// NNI's classic form: `{"key": {"_type": "layer_choice", "_value": [...]}}`.
  ///
  /// A number as a choice, which that form has not, is a `value_choice` with the candidates as texts,
  /// as architectures hold them.
  var classicSearchSpace: JSONObject {
    var object = JSONObject()
    for choice in self {
      let names = JSONValue.array(choice.candidateNames.map { .string($0) })
      let value: JSONValue =
        choice.kind != .input
        ? names
        : .object([
          "candidates": names, "n_chosen": choice.chosenCount.map { .integer($0) } ?? .null,
        ])
      object[choice.key] = .object([
        "_type": .string("\(choice.kind.rawValue)_choice"), "_value": value,
      ])
    }
    return object
  }
}
