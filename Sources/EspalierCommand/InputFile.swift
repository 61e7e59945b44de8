import Foundation

/// Small files that a user names, pipes included.
enum InputFile {
  /// Why a file cannot be read, in plain words.
  struct Unreadable: Error { let reason: String }

  private static let largest = 1 << 24

  /// The whole contents, at most 16 MiB.
  static func bytes(of path: String) throws(Unreadable) -> [UInt8] {
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
