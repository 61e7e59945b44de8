import ArgumentParser
import Espalier

struct StrategiesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "strategies", abstract: "All one-shot strategies with their hyper-parameters.",
    discussion: "Example: espalier strategies --json")

  @Flag(help: "Print one line of JSON.") var json = false

  func run() {
    if json {
      let list = StrategyDefinition.all.map { strategy in
        JSONValue.description(
          name: strategy.name, summary: strategy.summary, paper: strategy.paper,
          parameters: strategy.parameters)
      }
      return Console.output(JSONValue.array(list).compactText)
    }
    for strategy in StrategyDefinition.all {
      Console.output("\(strategy.name): \(strategy.summary) (\(strategy.paper))")
      if !strategy.parameters.isEmpty {
        Console.output(JSONValue.table(of: strategy.parameters, title: "--set"))
      }
      Console.output("")
    }
    Console.output("every search:")
    Console.output(JSONValue.table(of: SearchOptions.settings(), title: "--set"))
  }
}
