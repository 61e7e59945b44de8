import Foundation
import Synchronization

/// Ctrl-C and SIGTERM: the first asks a training to stop after its step, a second ends at once.
enum Interruption {
  /// Whether a signal asked to stop.
  static var isRequested: Bool { received.load(ordering: .relaxed) != 0 }

  /// 130 after Ctrl-C, 143 after SIGTERM.
  static var exitCode: CInt { 128 + received.load(ordering: .relaxed) }

  /// Lets the first signal only set a flag, for work that polls it.
  static func pollsSignals() { install(graceful: true) }

  /// Ends at once with the signal's exit code, for work that keeps nothing.
  static func endsAtOnce() { install(graceful: false) }

  private static func install(graceful: Bool) {
    // The handler must find it initialised.
    _ = received.load(ordering: .relaxed)
    let handler: @convention(c) (CInt) -> Void =
      graceful
      ? { number in
        let (isFirst, _) = received.compareExchange(
          expected: 0, desired: number, ordering: .relaxed)
        if !isFirst { _exit(128 + number) }
      }
      : { number in
        let line: StaticString = "\nespalier: interrupted\n"
        _ = write(STDERR_FILENO, line.utf8Start, line.utf8CodeUnitCount)
        _exit(128 + number)
      }
    signal(SIGINT, handler)
    signal(SIGTERM, handler)
  }
}

private let received = Atomic<CInt>(0)

/// A truth value that threads share.
final class SharedFlag: Sendable {
  private let value = Atomic<Bool>(false)

  func set(_ newValue: Bool) { value.store(newValue, ordering: .relaxed) }

  func exchange(_ newValue: Bool) -> Bool { value.exchange(newValue, ordering: .relaxed) }
}
