import Foundation

/// What went wrong with a run's files; the message names the file.
public struct RunError: Error, CustomStringConvertible {
  /// What and where.
  public let message: String
  /// An error with a message.
  public init(_ message: String) { self.message = message }
  /// One line for people.
  public var description: String { message }
}

/// The folder of one run: configuration, log, architectures, checkpoints, summary.
public final class RunDirectory {
  /// The folder.
  public let path: String
  private var log: FileHandle?

  /// Makes a new folder, or opens an existing one to resume.
  ///
  /// - Throws: `RunError` where the folder is occupied and not resumed, or cannot be written.
  public init(_ path: String, isResuming: Bool) throws(RunError) {
    self.path = path
    try RunDirectory.check(path, isResuming: isResuming)
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw RunError("\(path) cannot be made: \(systemReason(error))")
    }
  }

  /// Throws where a folder cannot be made or opened for a run; makes nothing.
  ///
  /// - Throws: `RunError` where it is occupied and not resumed, or it or the first folder on its way
  ///   that exists cannot be written.
  public static func check(_ path: String, isResuming: Bool) throws(RunError) {
    let manager = FileManager.default
    var isFolder: ObjCBool = false
    guard manager.fileExists(atPath: path, isDirectory: &isFolder) else {
      var parent = URL(fileURLWithPath: path)
      repeat { parent.deleteLastPathComponent() } while !manager.fileExists(atPath: parent.path)
      // Whether it is a folder, then whether something can be made in it.
      guard access(parent.path + "/", F_OK) == 0, access(parent.path, W_OK | X_OK) == 0 else {
        throw RunError("\(path) cannot be made: \(String(cString: strerror(errno)))")
      }
      return
    }
    guard isFolder.boolValue else { throw RunError("\(path) is a file, expected a folder") }
    let contents = (try? manager.contentsOfDirectory(atPath: path)) ?? []
    guard isResuming || contents.isEmpty else {
      throw RunError("\(path) is not empty; choose another --output, or go on with --resume")
    }
    guard access(path, W_OK | X_OK) == 0 else {
      throw RunError("\(path) cannot be written: \(String(cString: strerror(errno)))")
    }
  }

  /// The first free folder `runs/N`.
  public static func next(in parent: String = "runs") -> String {
    var number = 1
    while FileManager.default.fileExists(atPath: "\(parent)/\(number)") { number += 1 }
    return "\(parent)/\(number)"
  }

  /// The path of a file in the folder.
  public func file(_ name: String) -> String { path + "/" + name }

  /// Whether a file exists in the folder.
  public func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

  /// Writes a JSON file at once or not at all.
  public func write(_ value: JSONValue, to name: String) throws(RunError) {
    try write(value.indentedText, to: name)
  }

  /// Writes a text file at once or not at all.
  public func write(_ text: String, to name: String) throws(RunError) {
    let target = file(name)
    do {
      let folder = (target as NSString).deletingLastPathComponent
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try AtomicFile.write(Array(text.utf8), to: target)
    } catch let error as AtomicFileError {
      // Names the file already.
      throw RunError("\(error)")
    } catch {
      throw RunError("\(target) cannot be written: \(systemReason(error))")
    }
  }

  /// Reads a JSON file of the folder.
  public func read(_ name: String) throws -> JSONValue {
    let bytes: [UInt8]
    do {
      bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file(name))))
    } catch {
      throw RunError("\(file(name)) cannot be read: \(systemReason(error))")
    }
    do {
      return try JSONValue(parsing: bytes)
    } catch {
      throw RunError("\(file(name)): \(error)")
    }
  }

  /// Appends a line to `log.jsonl`.
  public func appendLog(_ value: JSONValue) throws(RunError) {
    try append(value.compactText + "\n", to: "log.jsonl", handle: &log)
  }

  /// Appends a line to `candidates.jsonl`.
  public func appendCandidate(_ value: JSONValue) throws(RunError) {
    var handle: FileHandle?
    try append(value.compactText + "\n", to: "candidates.jsonl", handle: &handle)
    try? handle?.close()
  }

  /// Forgets candidates of a session that was stopped while it evaluated: they are evaluated again.
  func removeCandidates() throws(RunError) {
    guard has("candidates.jsonl") else { return }
    do {
      try FileManager.default.removeItem(atPath: file("candidates.jsonl"))
    } catch {
      throw RunError("\(file("candidates.jsonl")) cannot be removed: \(systemReason(error))")
    }
  }

  private func append(_ text: String, to name: String, handle: inout FileHandle?) throws(RunError) {
    let target = file(name)
    do {
      if handle == nil {
        if !FileManager.default.fileExists(atPath: target) {
          guard FileManager.default.createFile(atPath: target, contents: nil) else {
            throw RunError("\(target) cannot be made")
          }
        }
        handle = try FileHandle(forWritingTo: URL(fileURLWithPath: target))
        try handle?.seekToEnd()
      }
      try handle?.write(contentsOf: Data(text.utf8))
    } catch {
      throw RunError("\(target) cannot be written: \(systemReason(error))")
    }
  }

  /// Cuts a log back to the lines up to a step, as a resumed run must.
  ///
  /// - Returns: The seconds that the last of these lines gives; 0 where there is none.
  @discardableResult
  public func truncateLog(afterStep step: Int) throws(RunError) -> Double {
    guard has("log.jsonl") else { return 0 }
    let text = (try? String(contentsOfFile: file("log.jsonl"), encoding: .utf8)) ?? ""
    var kept = ""
    var seconds = 0.0
    for line in text.split(separator: "\n") {
      guard let value = try? JSONValue(parsing: Array(line.utf8)),
        case .object(let object) = value, case .integer(let number)? = object["step"],
        number <= step
      else { break }
      kept += line + "\n"
      if case .number(let number)? = object["seconds"] { seconds = number }
    }
    try write(kept, to: "log.jsonl")
    return seconds
  }

  /// Writes `checkpoint.safetensors`, keeping the one before, and a copy of its text for people.
  public func save(_ checkpoint: Checkpoint) throws {
    try checkpoint.file.write(to: file("checkpoint.safetensors"))
    var object = JSONObject()
    for key in checkpoint.file.metadata.keys.sorted() where !key.hasPrefix("crc32c") {
      object[key] = checkpoint.file.metadata[key].map { .string($0) }
    }
    try write(.object(object), to: "checkpoint.json")
  }

  /// The newest checkpoint that can be read, or nil where there is none.
  ///
  /// - Parameter note: Told when the newest could not be read and the one before is used.
  public func loadCheckpoint(note: (String) -> Void) throws -> Checkpoint? {
    guard has("checkpoint.safetensors") || has("checkpoint.previous.safetensors") else {
      return nil
    }
    let loaded = try Safetensors.loadNewest(at: file("checkpoint.safetensors"))
    if let setback = loaded.setback { note("\(setback); using \(loaded.file)") }
    return Checkpoint(loaded.contents)
  }
}
