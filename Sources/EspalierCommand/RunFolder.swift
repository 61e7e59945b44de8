import Espalier
import Foundation

/// The folder that a verb writes: chosen, checked, locked against a second process.
final class RunFolder {
  let path: String
  let directory: RunDirectory
  /// Whether the folder itself was made here.
  private let isNew: Bool
  /// Whether nothing was in it.
  private let isFresh: Bool
  private let lock: CInt
  /// Where a run without `--output` gets its folder.
  private static let parent = "runs"

  /// Makes or opens the folder.
  ///
  /// - Parameters:
  ///   - output: What `--output` gave; nil takes the next free `runs/N`.
  ///   - isResuming: Whether the folder may hold a run already.
  ///   - json: Whether standard output is kept for one line of JSON.
  init(output: String?, isResuming: Bool, json: Bool) throws {
    let path = try output ?? RunFolder.makeNext()
    if output == nil { json ? Console.note(path) : Console.output(path) }
    self.path = path
    isNew = output == nil || !FileManager.default.fileExists(atPath: path)
    isFresh = isNew || (try? FileManager.default.contentsOfDirectory(atPath: path)) == []
    do {
      directory = try RunDirectory(path, isResuming: isResuming)
    } catch {
      throw UsageError("--output \(error.message)")
    }
    lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      throw UsageError("--output \(path): another process is at work there")
    }
  }

  deinit { close(lock) }

  /// Throws where a run cannot begin or go on in `output`, before anything is loaded or made.
  static func requireUsable(_ output: String?, isResuming: Bool) throws(UsageError) {
    do {
      try RunDirectory.check(output ?? RunDirectory.next(in: parent), isResuming: isResuming)
    } catch {
      throw UsageError((output == nil ? "" : "--output ") + error.message)
    }
  }

  /// Makes the first free `runs/N`; two processes never get the same.
  private static func makeNext() throws -> String {
    if mkdir(parent, 0o777) != 0 && errno != EEXIST {
      throw UsageError("\(parent): cannot be made: \(String(cString: strerror(errno)))")
    }
    while true {
      let path = RunDirectory.next(in: parent)
      if mkdir(path, 0o777) == 0 { return path }
      guard errno == EEXIST else {
        throw UsageError("\(path): cannot be made: \(String(cString: strerror(errno)))")
      }
    }
  }

  /// Leaves the folder as it was where it was made or filled for a run that never took a step.
  func abandonIfUntouched() {
    guard isFresh, !directory.has("log.jsonl"), !directory.has("checkpoint.safetensors") else {
      return
    }
    for name in ["config.json", "architecture.json"] { unlink(directory.file(name)) }
    if isNew { rmdir(path) }
  }
}

extension RunFields {
  /// The fields of the run that `--resume` goes on with; nil where there is none yet.
  ///
  /// - Parameters:
  ///   - output: The run's folder.
  ///   - names: The files that may hold the verb's configuration.
  static func resumed(_ output: String?, verb: String, names: [String] = ["config.json"]) throws
    -> RunFields?
  {
    guard let output else { return nil }
    var other: String?
    for name in names where FileManager.default.fileExists(atPath: "\(output)/\(name)") {
      let fields = try RunFields(file: "\(output)/\(name)")
      if fields["verb"] == verb { return fields }
      other = fields["verb"]
    }
    if let other, names.count == 1 {
      throw UsageError("--output \(output) holds a run of `\(other)`, not of `\(verb)`")
    }
    return nil
  }

  /// Throws where `--resume` found no run and flags that begin one are missing.
  func requireBeginning(_ names: [String], output: String?) throws(UsageError) {
    let missing = names.filter { self[$0] == nil }.map { "--\($0)" }
    guard !missing.isEmpty, let output else { return }
    throw UsageError(
      "--resume: there is no run in \(output) to go on with; to begin one there, give "
        + missing.joined(separator: ", "))
  }

  /// Flags over the resumed run, or over the file that `--config` names.
  static func merged(
    given: RunFields, config: String?, resumed: RunFields?, output: String?, verb: String
  ) throws -> RunFields {
    var fields = given
    if let config { fields = given.over(try RunFields(file: config).carried(to: verb)) }
    if let resumed {
      var compared = fields
      compared["verb"] = nil
      try compared.requireAgreement(with: resumed, at: output ?? "")
      fields = resumed
    }
    fields["verb"] = verb
    return fields
  }
}
