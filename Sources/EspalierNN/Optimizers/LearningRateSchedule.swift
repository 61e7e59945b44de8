import Foundation

/// A learning rate as a function of progress; schedules are fractions of a run, so that a shorter
/// run goes through all of it.
public struct LearningRateSchedule: Sendable {
  /// The rate at `progress`, from 0 at the first step to 1 at the end.
  public let rate: @Sendable (_ progress: Double) -> Double

  /// A schedule from a function.
  public init(_ rate: @escaping @Sendable (_ progress: Double) -> Double) { self.rate = rate }

  /// Always the same.
  public static func constant(_ rate: Double) -> LearningRateSchedule {
    LearningRateSchedule { _ in rate }
  }

  /// Multiplied by `gamma` at each of the given fractions of the run.
  public static func step(_ rate: Double, at fractions: [Double], gamma: Double = 0.1)
    -> LearningRateSchedule
  {
    LearningRateSchedule { progress in
      rate * Foundation.pow(gamma, Double(fractions.filter { $0 <= progress }.count))
    }
  }

  /// Half a cosine from `rate` to `final` (arXiv:1608.03983).
  public static func cosine(_ rate: Double, to final: Double = 0) -> LearningRateSchedule {
    LearningRateSchedule { progress in
      final + (rate - final) * (1 + cos(.pi * Swift.min(progress, 1))) / 2
    }
  }

  /// A straight line from `rate` to `final`.
  public static func linear(_ rate: Double, to final: Double = 0) -> LearningRateSchedule {
    LearningRateSchedule { progress in rate + (final - rate) * Swift.min(progress, 1) }
  }

  /// Cosines that start again (SGDR, arXiv:1608.03983): `count` of them, each `growth` times as long
  /// as the one before.
  public static func warmRestarts(
    _ rate: Double, to final: Double = 0, count: Int = 4, growth: Double = 2
  ) -> LearningRateSchedule {
    LearningRateSchedule { progress in
      let lengths = (0..<Swift.max(count, 1)).map { Foundation.pow(growth, Double($0)) }
      var position = Swift.min(progress, 1) * lengths.reduce(0, +)
      for (index, length) in lengths.enumerated() {
        if position < length || index == lengths.count - 1 {
          let part = Swift.min(position / length, 1)
          return final + (rate - final) * (1 + cos(.pi * part)) / 2
        }
        position -= length
      }
      return final
    }
  }

  /// This schedule after a straight rise from 0 over the first `fraction` of the run.
  public func warmedUp(over fraction: Double) -> LearningRateSchedule {
    let later = rate
    return LearningRateSchedule { progress in
      if progress < fraction { return later(0) * progress / fraction }
      return later((progress - fraction) / Swift.max(1 - fraction, 1e-12))
    }
  }
}
