import ArgumentParser
import Espalier
import Foundation

/// Bad usage or bad input: exit code 2.
struct UsageError: Error, CustomStringConvertible {
  let description: String

  init(_ message: String) { description = message }

  /// An unknown name, with the nearest valid one and all others.
  init(unknown kind: String, _ name: String, valid: [String]) {
    let nearest = nearestName(to: name, in: valid).map { ", did you mean \($0)?" } ?? ";"
    description = "unknown \(kind) '\(name)'\(nearest) valid: \(valid.joined(separator: ", "))"
  }
}

/// The exit code and the one line that an error gives.
struct Failure {
  let code: CInt
  let message: String

  /// What a verb threw.
  init(_ error: any Error) {
    switch error {
    case is TrainingInterrupted:
      self.init(Interruption.exitCode, "\(error); go on with --resume")
    case is UsageError, is SettingError, is SpaceError, is DatasetError, is ArchitectureError,
      is CheckpointMismatch, is JSONError, is LatencyError, LimitError.unreachable:
      self.init(2, "\(error)")
    case CheckpointError.unwritable:
      self.init(1, "\(error)")
    case DeviceError.outOfMemory:
      self.init(1, "\(error); a smaller --batch or smaller sizes need less")
    case DeviceError.notFinite:
      self.init(1, "\(error); a smaller learning_rate may help")
    case is CheckpointError, DeviceError.noSuchDevice:
      self.init(2, "\(error)")
    default:
      self.init(1, "\(error)")
    }
  }

  /// What the argument parser threw: always bad usage.
  init(parsing error: any Error) {
    self.init(2, RootCommand.message(for: error))
  }

  private init(_ code: CInt, _ text: String) {
    self.code = code
    let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
    message = line.isEmpty ? "failed" : line
  }
}
