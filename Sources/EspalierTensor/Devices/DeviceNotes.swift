import Glibc
import Synchronization

/// What a device has to tell people once, such as an operation that it leaves to the CPU.
public enum DeviceNotes {
  private static let current = Mutex<@Sendable (String) -> Void>(printed)

  /// Receives each note, a sentence without line breaks; by default one line on standard error.
  public static var handler: @Sendable (String) -> Void {
    get { current.withLock { $0 } }
    set { current.withLock { $0 = newValue } }
  }

  static func say(_ note: String) { handler(note) }

  private static let printed: @Sendable (String) -> Void = { note in
    let line = Array("note: \(note)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
  }
}
