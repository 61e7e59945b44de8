import ArgumentParser
import Espalier
import Foundation

/// The `espalier` command line; a program with spaces of its own calls it too.
public enum CommandLineTool {
  /// Runs the process's arguments and ends the process.
  ///
  /// - Parameter spaces: Spaces that `--space` takes beside the built-in ones.
  public static func main(spaces: [SpaceDefinition] = []) -> Never {
    keepStandardDescriptors()
    // A reader that went away and a limit on file sizes are errors of a write, not of the process.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    Interruption.endsAtOnce()
    let arguments = Array(CommandLine.arguments.dropFirst())
    exit(SpaceCatalog.$additional.withValue(spaces) { run(arguments) })
  }

  /// Runs one command line.
  ///
  /// - Returns: The exit code: 0 done, 1 the work failed, 2 bad usage or bad input, 130 and 143
  ///   after a signal.
  static func run(_ arguments: [String]) -> CInt {
    var command: any ParsableCommand
    do {
      try checkVerb(arguments[...], of: RootCommand.self)
      command = try RootCommand.parseAsRoot(arguments)
    } catch {
      return end(error) { error is UsageError ? Failure(error) : Failure(parsing: error) }
    }
    do {
      try command.run()
      return endOutput()
    } catch {
      return end(error) { Failure(error) }
    }
  }

  /// Throws at a word in a verb's place that is none, which the parser would not list.
  private static func checkVerb(
    _ arguments: ArraySlice<String>, of command: any ParsableCommand.Type
  ) throws(UsageError) {
    let verbs = command.configuration.subcommands
    guard !verbs.isEmpty, let word = arguments.first, !word.hasPrefix("-"), word != "help" else {
      return
    }
    guard let verb = verbs.first(where: { $0.configuration.commandName == word }) else {
      throw UsageError(
        unknown: "verb", word, valid: verbs.compactMap { $0.configuration.commandName })
    }
    try checkVerb(arguments.dropFirst(), of: verb)
  }

  /// 0, or 1 and a line where standard output did not take the result.
  private static func endOutput() -> CInt {
    guard let problem = Console.outputProblem else { return 0 }
    return end(Failure(RunError("standard output: cannot be written: \(problem)")))
  }

  /// Opens what the caller closed of standard input, output and error, so that no file of a run gets
  /// the number of one and what is printed in it; writing still fails.
  private static func keepStandardDescriptors() {
    while true {
      let descriptor = open("/dev/null", O_RDONLY)
      guard (STDIN_FILENO...STDERR_FILENO).contains(descriptor) else {
        if descriptor >= 0 { close(descriptor) }
        return
      }
    }
  }

  /// Prints help where the error only asks for it, else the one line that says what failed.
  private static func end(_ error: any Error, _ failure: () -> Failure) -> CInt {
    if RootCommand.exitCode(for: error) == .success {
      Console.output(RootCommand.fullMessage(for: error))
      return endOutput()
    }
    return end(failure())
  }

  private static func end(_ failure: Failure) -> CInt {
    Console.endProgress()
    Console.error("espalier: \(failure.message)")
    return failure.code
  }
}

struct RootCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "espalier",
    abstract: "Neural architecture search on any OpenCL GPU and on the CPU.",
    discussion: """
      Example:
        espalier search --space darts --strategy darts --data fashion-mnist-mini \\
          --output runs/a
        espalier retrain --space darts --architecture runs/a/architecture.json \\
          --data fashion-mnist-mini --output runs/b

      Exit codes: 0 done, 1 the work failed, 2 bad usage or bad input, 130 Ctrl-C, \
      143 SIGTERM.
      """,
    version: CommandLineTool.version,
    subcommands: [
      SearchCommand.self, RetrainCommand.self, EvaluateCommand.self, LatencyCommand.self,
      RankCommand.self,
      ExportCommand.self,
      SpaceCommand.self, StrategiesCommand.self, DevicesCommand.self, DoctorCommand.self,
    ])
}

extension CommandLineTool {
  /// The version that `--version` prints and `config.json` holds.
  public static let version = "0.1.0"
}

/// The spaces that the command line knows.
enum SpaceCatalog {
  @TaskLocal static var additional: [SpaceDefinition] = []

  static var all: [SpaceDefinition] { SpaceDefinition.all + additional }

  static func named(_ name: String) throws(UsageError) -> SpaceDefinition {
    if let space = all.first(where: { $0.name == name }) { return space }
    throw UsageError(unknown: "space", name, valid: all.map(\.name))
  }
}
