import Foundation

/// Why Foundation could not read or write, in the operating system's words and without the path that
/// a message names already.
package func systemReason(_ error: any Error) -> String {
  let error = error as NSError
  for candidate in [error.userInfo[NSUnderlyingErrorKey] as? NSError, error] {
    guard let candidate, candidate.domain == NSPOSIXErrorDomain else { continue }
    return String(cString: strerror(CInt(candidate.code)))
  }
  return error.localizedDescription
}
