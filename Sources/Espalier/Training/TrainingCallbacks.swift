import Foundation

/// What happens while training; all are told on the training thread.
public struct TrainingCallbacks {
  /// One line of progress: step, number of steps, epoch, text.
  public var progress: (_ line: ProgressLine) -> Void = { _ in }
  /// Something a person should know.
  public var note: (_ message: String) -> Void = { _ in }
  /// Before the first step of a search: how many of how many passes were planned ahead, which may
  /// take long where the space is large.
  public var planning: (_ done: Int, _ count: Int) -> Void = { _, _ in }
  /// After training: how many architectures were evaluated so far.
  public var evaluation: (_ count: Int) -> Void = { _ in }
  /// The end of an epoch.
  public var epochEnd: (_ epoch: Int) -> Void = { _ in }
  /// Asked after each step: whether to stop with a checkpoint.
  public var shouldStop: () -> Bool = { false }

  /// Callbacks that do nothing.
  public init() {}
}

/// Where training is.
public struct ProgressLine: Sendable {
  /// Steps done.
  public var step: Int
  /// Steps in all.
  public var stepCount: Int
  /// The epoch from 0.
  public var epoch: Int
  /// Epochs in all.
  public var epochCount: Int
  /// The mean loss since the last line.
  public var loss: Double
  /// Means since the last line by name.
  public var metrics: [String: Double]
  /// Images a second since the last line.
  public var imagesPerSecond: Double
  /// Seconds that the training took, in all its sessions.
  public var seconds: Double

  /// `epoch 3/10 step 120/400 loss 1.2345 accuracy 0.5312 812 img/s`.
  public var text: String {
    var parts = [
      "epoch \(epoch + 1)/\(epochCount)", "step \(step)/\(stepCount)",
      "loss " + String(format: "%.4f", loss),
    ]
    for name in metrics.keys.sorted() {
      parts.append("\(name) " + String(format: "%.4f", metrics[name] ?? 0))
    }
    parts.append(String(format: "%.0f img/s", imagesPerSecond))
    return parts.joined(separator: "  ")
  }
}

/// Thrown when a callback asked to stop; a checkpoint was written.
public struct TrainingInterrupted: Error, CustomStringConvertible {
  /// Steps done.
  public let step: Int
  /// One line for people.
  public var description: String { "stopped after step \(step), with a checkpoint" }
}
