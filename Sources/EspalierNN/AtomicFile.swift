import Foundation

/// Why a file could not be replaced; the file under its own name is as it was.
package struct AtomicFileError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file to be replaced.
  package let path: String
  /// The step that failed.
  package let step: String
  /// The operating system's reason.
  package let reason: String

  /// One line: file, step and reason.
  package var description: String { "\(path): cannot \(step): \(reason)" }
}

/// Replaces files so that whatever happens, also a crash or a full disk, the old or the new contents
/// are there whole.
package enum AtomicFile {
  /// Writes a temporary file in the same folder, syncs it, has it verified, renames it and syncs the
  /// folder.
  ///
  /// - Parameters:
  ///   - bytes: The new contents.
  ///   - path: The file.
  ///   - previous: Where the old contents are kept; nil to drop them.
  ///   - verify: Checks the temporary file, whose path it gets, and gives a reason to refuse it.
  package static func write(
    _ bytes: [UInt8], to path: String, keepingPreviousAs previous: String? = nil,
    verify: (String) -> String? = { _ in nil }
  ) throws(AtomicFileError) {
    var status = stat()
    let exists = stat(path, &status) == 0
    // A device (/dev/full) must not be renamed over.
    if exists && status.st_mode & S_IFMT != S_IFREG {
      throw AtomicFileError(path: path, step: "be replaced", reason: "not a regular file")
    }
    let temporary = path + ".tmp"
    do throws(AtomicFileError) {
      try writeAndSync(bytes, to: temporary, for: path)
      if let reason = verify(temporary) {
        throw AtomicFileError(path: path, step: "be verified", reason: reason)
      }
      if let previous, exists { try keep(path, as: previous) }
      try check(rename(temporary, path), path, "be renamed")
    } catch {
      unlink(temporary)
      throw error
    }
    try syncFolder(of: path)
  }

  /// Writes all bytes to an open file.
  static func writeAll(
    _ bytes: [UInt8], to descriptor: CInt, for path: String
  ) throws(AtomicFileError) {
    var start = 0
    while start < bytes.count {
      let written = bytes.withUnsafeBytes { raw in
        Foundation.write(
          descriptor, raw.baseAddress?.advanced(by: start), min(raw.count - start, 1 << 30))
      }
      if written < 0 && errno == EINTR { continue }
      if written == 0 { errno = ENOSPC }
      try check(written > 0 ? 0 : -1, path, "be written")
      start += written
    }
  }

  private static func writeAndSync(
    _ bytes: [UInt8], to temporary: String, for path: String
  ) throws(AtomicFileError) {
    let descriptor = open(
      temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o644)
    try check(descriptor, path, "be written")
    do throws(AtomicFileError) {
      try writeAll(bytes, to: descriptor, for: path)
      try check(fsync(descriptor), path, "be synced")
    } catch {
      close(descriptor)
      throw error
    }
    // Some network file systems report a full disk only here.
    try check(close(descriptor), path, "be closed")
  }

  /// Gives the old contents a second name before the first one moves on, so that the file is never
  /// absent; by renaming where the file system has no hard links.
  private static func keep(_ path: String, as previous: String) throws(AtomicFileError) {
    let temporary = previous + ".tmp"
    unlink(temporary)
    if link(path, temporary) == 0 {
      try check(rename(temporary, previous), previous, "be renamed")
    } else {
      try check(rename(path, previous), previous, "be renamed")
    }
  }

  private static func syncFolder(of path: String) throws(AtomicFileError) {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try check(descriptor, folder, "be opened")
    defer { close(descriptor) }
    // Some file systems cannot sync a folder; the renames are done all the same.
    if fsync(descriptor) != 0 && errno != EINVAL { try check(-1, folder, "be synced") }
  }

  private static func check(
    _ result: CInt, _ path: String, _ step: String
  ) throws(AtomicFileError) {
    guard result < 0 else { return }
    throw AtomicFileError(path: path, step: step, reason: String(cString: strerror(errno)))
  }
}
