import Foundation

/// Why Foundation could not read or write, in the operating system's words and without the path that
/// a message names already.
package func systemReason(_ error: any Error) -> String {
  let whole = error as NSError
  for candidate in [whole.userInfo[NSUnderlyingErrorKey] as? NSError, whole] {
    guard let candidate, candidate.domain == NSPOSIXErrorDomain else { continue }
    return String(cString: strerror(CInt(candidate.code)))
  }
  // Foundation's own sentences name neither the file nor the reason.
  let number = (error as? CocoaError).flatMap { posixNumbers[$0.code] }
  return number.map { String(cString: strerror($0)) } ?? error.localizedDescription
}

private let posixNumbers: [CocoaError.Code: CInt] = [
  .fileNoSuchFile: ENOENT, .fileReadNoSuchFile: ENOENT, .fileReadNoPermission: EACCES,
  .fileWriteNoPermission: EACCES, .fileWriteOutOfSpace: ENOSPC, .fileWriteVolumeReadOnly: EROFS,
  .fileWriteFileExists: EEXIST, .fileWriteInvalidFileName: ENAMETOOLONG,
  .fileReadInvalidFileName: ENAMETOOLONG,
]
