import Foundation

/// The four functions of zlib that reading needs, found at run time so that a program without
/// compressed data does not need the library.
struct Zlib: Sendable {
  typealias Open = @convention(c) @Sendable (CInt, UnsafePointer<CChar>) -> OpaquePointer?
  typealias Read =
    @convention(c) @Sendable (OpaquePointer, UnsafeMutableRawPointer, CUnsignedInt)
    -> CInt
  typealias Close = @convention(c) @Sendable (OpaquePointer) -> CInt
  typealias LastError =
    @convention(c) @Sendable (OpaquePointer, UnsafeMutablePointer<CInt>)
    -> UnsafePointer<CChar>?

  let open: Open
  let read: Read
  let close: Close
  let lastError: LastError

  /// Z_BUF_ERROR: the input ended inside a member.
  static let unexpectedEnd: CInt = -5

  /// Why the library could not be loaded.
  struct Missing: Error {
    let reason: String
  }

  static let loaded: Result<Zlib, Missing> = load(["libz.so.1"])

  static func load(_ names: [String]) -> Result<Zlib, Missing> {
    var reason = "no name to try"
    for name in names {
      guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
        reason = dlerror().map { String(cString: $0) } ?? "dlopen failed"
        continue
      }
      guard let open = dlsym(library, "gzdopen"), let read = dlsym(library, "gzread"),
        let close = dlsym(library, "gzclose"), let error = dlsym(library, "gzerror")
      else {
        reason = "\(name) lacks gzdopen, gzread, gzclose or gzerror"
        continue
      }
      return .success(
        Zlib(
          open: unsafeBitCast(open, to: Open.self), read: unsafeBitCast(read, to: Read.self),
          close: unsafeBitCast(close, to: Close.self),
          lastError: unsafeBitCast(error, to: LastError.self)))
    }
    return .failure(Missing(reason: reason))
  }
}
