/// Whether layers behave as in training; a property of the task, not of the modules.
public struct Mode: Sendable {
  /// Dropout drops, batch norm normalises by the batch.
  public var isTraining: Bool
  /// Batch norm updates its running statistics where it normalises by the batch.
  public var updatesStatistics: Bool

  /// Batch norm normalises by the batch also in evaluation: running statistics of a supernet fit
  /// none of its architectures.
  public var usesBatchStatistics: Bool
  /// The batch's share in an update of running statistics, in place of each layer's momentum.
  public var statisticsMomentum: Float?
  /// Images at most over which batch norm normalises while training; nil: the whole batch.
  public var ghostBatchSize: Int?

  /// Training, with statistics updated.
  public static let training = Mode(isTraining: true, updatesStatistics: true)
  /// Evaluation: running statistics, no dropout.
  public static let evaluation = Mode(isTraining: false, updatesStatistics: false)
  /// Evaluation of one architecture inside a supernet: the batch's statistics, no dropout.
  public static let supernetEvaluation = Mode(
    isTraining: false, updatesStatistics: false, usesBatchStatistics: true)

  /// The `number`-th pass, from 1, of those whose mean becomes the running statistics: each passes
  /// on what is normalised by its own batch, without dropout, and counts 1 / `number` in the mean of
  /// all so far.
  public static func recalibration(_ number: Int) -> Mode {
    precondition(number > 0, "Mode.recalibration: pass \(number)")
    return Mode(
      isTraining: false, updatesStatistics: true, usesBatchStatistics: true,
      statisticsMomentum: 1 / Float(number))
  }

  /// A mode from its parts.
  public init(
    isTraining: Bool, updatesStatistics: Bool, usesBatchStatistics: Bool = false,
    statisticsMomentum: Float? = nil, ghostBatchSize: Int? = nil
  ) {
    self.isTraining = isTraining
    self.updatesStatistics = updatesStatistics
    self.usesBatchStatistics = usesBatchStatistics
    self.statisticsMomentum = statisticsMomentum
    self.ghostBatchSize = ghostBatchSize
  }

  /// The mode in force.
  @TaskLocal public static var current: Mode = .training

  /// Runs `body` in `mode`.
  public static func with<R>(_ mode: Mode, _ body: () throws -> R) rethrows -> R {
    try $current.withValue(mode, operation: body)
  }
}
