import Espalier
import Foundation

/// Small files that a user names, pipes included.
enum InputFile {
  /// Why a file cannot be read, in the operating system's words.
  private struct Unreadable: Error { let reason: String }

  private static let largest = 1 << 24

  /// The contents as a JSON mapping.
  ///
  /// - Parameter expected: What the file should be, for the error.
  static func object(of path: String, expected: String) throws(UsageError) -> JSONObject {
    do {
      if case .object(let object) = try JSONValue(parsing: try bytes(of: path)) { return object }
    } catch let error as Unreadable {
      throw UsageError("\(path): cannot be read: \(error.reason)")
    } catch {
      throw UsageError("\(path): \(error)")
    }
    throw UsageError("\(path): expected a JSON mapping, \(expected)")
  }

  /// The whole contents, at most 16 MiB.
  private static func bytes(of path: String) throws(Unreadable) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Unreadable(reason: String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw Unreadable(reason: String(cString: strerror(errno))) }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
      guard bytes.count <= largest else {
        throw Unreadable(reason: "more than \(largest >> 20) MiB")
      }
    }
  }
}
