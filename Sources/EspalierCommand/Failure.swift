import ArgumentParser
import Espalier
import Foundation

/// Bad usage or bad input: exit code 2.
struct UsageError: Error, CustomStringConvertible {
  let description: String

  init(_ message: String) { description = message }

  /// An unknown name, with the nearest valid one and all others.
  init(unknown kind: String, _ name: String, valid: [String]) {
    let nearest = nearestName(to: name, in: valid).map { "; did you mean \($0)?" } ?? ""
    description = "unknown \(kind) '\(name)'\(nearest) valid: \(valid.joined(separator: ", "))"
      .replacing("' valid", with: "'; valid")
  }
}

/// The exit code and the one line that an error gives.
struct Failure {
  let code: CInt
  let message: String

  init(_ error: any Error) {
    var text: String
    switch error {
    case is TrainingInterrupted:
      code = Interruption.exitCode
      text = "\(error); go on with --resume"
    case is UsageError, is SettingError, is SpaceError, is DatasetError, is ArchitectureError,
      is CheckpointMismatch, is JSONError:
      code = 2
      text = "\(error)"
    case let error as CheckpointError:
      if case .unwritable = error { code = 1 } else { code = 2 }
      text = "\(error)"
    case let error as DeviceError:
      if case .noSuchDevice = error { code = 2 } else { code = 1 }
      text = "\(error)"
    case is RunError, is AtomicFileError:
      code = 1
      text = "\(error)"
    case let error as NSError where type(of: error) == NSError.self:
      code = 1
      text = error.localizedDescription
    default:
      // The parser's own errors.
      code = 2
      text = RootCommand.message(for: error)
    }
    if text.isEmpty { text = "failed" }
    message = text.split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}

extension Failure {
  /// Why Foundation could not read or write, without the path that the message names already.
  static func reason(_ error: any Error) -> String {
    let error = error as NSError
    if let posix = error.userInfo[NSUnderlyingErrorKey] as? NSError,
      posix.domain == NSPOSIXErrorDomain
    {
      return String(cString: strerror(CInt(posix.code)))
    }
    if error.domain == NSPOSIXErrorDomain { return String(cString: strerror(CInt(error.code))) }
    return error.localizedDescription
  }
}
