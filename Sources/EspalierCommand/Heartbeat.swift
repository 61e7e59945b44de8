import Espalier
import Foundation
import Synchronization

/// Tells every few seconds that long work goes on where nothing else is printed.
///
/// A first step plans all its kernels, and a step of a large network takes long: neither shall look
/// like a program that hangs.
final class Heartbeat: Sendable {
  private static let interval = 5.0

  private let label: String
  private let start = ProcessInfo.processInfo.systemUptime
  private let steps = Atomic<Int>(0)

  private init(_ label: String) { self.label = label }

  /// Counts a step that is done.
  func step() { steps.add(1, ordering: .relaxed) }

  /// Runs `body` with a heart that beats until it ends.
  ///
  /// - Parameter label: What is at work.
  static func during<R>(_ label: String, _ body: (Heartbeat) throws -> R) rethrows -> R {
    let heart = Heartbeat(label)
    let (stop, stopped) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    Thread.detachNewThread {
      while stop.wait(timeout: .now() + 1) == .timedOut {
        if Console.quietSeconds >= interval { heart.beat() }
      }
      stopped.signal()
    }
    defer {
      stop.signal()
      stopped.wait()
    }
    return try body(heart)
  }

  private func beat() {
    let seconds = ProcessInfo.processInfo.systemUptime - start
    let steps = steps.load(ordering: .relaxed)
    let done = steps == 0 ? "preparing" : "at work, \(RunText.count(steps, "step")) done"
    let text = "\(label)  \(done)  \(ProgressReport.duration(seconds))"
    if Console.isTerminal { Console.progress(text) } else { Console.note(text) }
  }
}
