import Foundation
import Synchronization

/// Ctrl-C and SIGTERM: the first asks a training to stop after its step, a second ends at once.
///
/// The handlers only set flags, write(2) and _exit(2), which a signal may interrupt anything to do.
enum Interruption {
  /// Whether a signal asked to stop.
  static var isRequested: Bool { received.load(ordering: .relaxed) != 0 }

  /// 130 after Ctrl-C, 143 after SIGTERM.
  static var exitCode: CInt { 128 + received.load(ordering: .relaxed) }

  /// Lets the first signal only set a flag, for work that polls it, and say so.
  static func pollsSignals() { install(graceful: true) }

  /// Ends at once with the signal's exit code, for work that keeps nothing.
  static func endsAtOnce() { install(graceful: false) }

  private static func install(graceful: Bool) {
    // The handlers must find both initialised.
    _ = (received.load(ordering: .relaxed), Console.isTerminal)
    let handler: @convention(c) (CInt) -> Void =
      graceful
      ? { number in
        let saved = errno
        let (isFirst, _) = received.compareExchange(
          expected: 0, desired: number, ordering: .relaxed)
        if isFirst {
          say("espalier: stopping after this step (once more to stop now)\n")
        } else {
          say("espalier: stopped at once; go on with --resume\n")
          _exit(128 + number)
        }
        errno = saved
      }
      : { number in
        say("espalier: interrupted\n")
        _exit(128 + number)
      }
    signal(SIGINT, handler)
    signal(SIGTERM, handler)
    // A parent's thread that blocked them, as those of a thread pool do, passed that on.
    var both = sigset_t()
    sigemptyset(&both)
    sigaddset(&both, SIGINT)
    sigaddset(&both, SIGTERM)
    sigprocmask(SIG_UNBLOCK, &both, nil)
  }
}

/// Writes a constant line on standard error, below a progress line; safe in a signal handler.
private func say(_ line: StaticString) {
  let lineEnd: StaticString = "\n"
  if Console.isTerminal { _ = write(STDERR_FILENO, lineEnd.utf8Start, lineEnd.utf8CodeUnitCount) }
  _ = write(STDERR_FILENO, line.utf8Start, line.utf8CodeUnitCount)
}

private let received = Atomic<CInt>(0)

/// A truth value that threads share.
final class SharedFlag: Sendable {
  private let value = Atomic<Bool>(false)

  func set(_ newValue: Bool) { value.store(newValue, ordering: .relaxed) }

  func exchange(_ newValue: Bool) -> Bool { value.exchange(newValue, ordering: .relaxed) }
}
