import Espalier

/// Texts that every run prints.
enum RunText {
  /// `50 epochs of 47 steps`.
  static func steps(_ count: Int, epochs: Int) -> String {
    "\(self.count(epochs, "epoch")) of \(self.count(count, "step"))"
  }

  /// `1 step`, `47 steps`.
  static func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }
}

extension ProgressReport {
  /// Callbacks that also tell a heartbeat of each step.
  func callbacks(with heart: Heartbeat) -> TrainingCallbacks {
    var callbacks = callbacks()
    let shouldStop = callbacks.shouldStop
    callbacks.shouldStop = {
      heart.step()
      return shouldStop()
    }
    return callbacks
  }
}
