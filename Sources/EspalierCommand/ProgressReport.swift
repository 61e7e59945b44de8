import Espalier
import Foundation

/// Shows training: a bar with the time left on a terminal, else a line every few seconds.
final class ProgressReport {
  private let label: String
  private var firstStep: (number: Int, seconds: Double)?
  private var lastLine = -Double.infinity
  private var lastSign = ProcessInfo.processInfo.systemUptime

  init(_ label: String) { self.label = label }

  /// Callbacks that show progress here and stop when a signal came.
  func callbacks() -> TrainingCallbacks {
    var callbacks = TrainingCallbacks()
    callbacks.progress = { self.show($0) }
    callbacks.note = { Console.note($0) }
    callbacks.planning = { done, count in
      self.showSign("\(self.label)  planning ahead \(done)/\(count)")
    }
    callbacks.evaluation = { count in
      self.showSign("\(self.label)  architectures evaluated with the shared weights: \(count)")
    }
    callbacks.shouldStop = { Interruption.isRequested }
    return callbacks
  }

  private func show(_ line: ProgressLine) {
    if firstStep == nil { firstStep = (line.step, line.seconds) }
    let remaining = remainingSeconds(line).map { "  left " + ProgressReport.duration($0) } ?? ""
    let isLast = line.step == line.stepCount
    if Console.isTerminal {
      let filled = 20 * line.step / max(line.stepCount, 1)
      let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 20 - filled)
      Console.progress("\(label) \(bar) \(line.text)\(remaining)")
      if isLast { Console.endProgress() }
    } else if isLast || line.seconds - lastLine >= 5 {
      lastLine = line.seconds
      Console.note("\(label)  \(line.text)\(remaining)")
    }
  }

  /// Shows that work outside of training goes on.
  private func showSign(_ text: String) {
    let now = ProcessInfo.processInfo.systemUptime
    if Console.isTerminal {
      Console.progress(text)
    } else if now - lastSign >= 5 {
      lastSign = now
      Console.note(text)
    }
  }

  /// By the pace since the first line, which a resumed run's step count would spoil.
  private func remainingSeconds(_ line: ProgressLine) -> Double? {
    guard let firstStep, line.step > firstStep.number else { return nil }
    let pace = (line.seconds - firstStep.seconds) / Double(line.step - firstStep.number)
    return pace * Double(line.stepCount - line.step)
  }

  /// `42s`, `3m05s`, `2h07m`.
  static func duration(_ seconds: Double) -> String {
    let total = Int(max(0, min(seconds, 1e9)).rounded())
    if total < 60 { return "\(total)s" }
    if total < 3600 { return "\(total / 60)m" + String(format: "%02d", total % 60) + "s" }
    return "\(total / 3600)h" + String(format: "%02d", total / 60 % 60) + "m"
  }
}
