/// Whether layers behave as in training; a property of the task, not of the modules.
public struct Mode: Sendable {
  /// Dropout drops, batch norm normalises by the batch.
  public var isTraining: Bool
  /// Batch norm updates its running statistics while training.
  public var updatesStatistics: Bool

  /// Batch norm normalises by the batch also in evaluation: running statistics of a supernet fit
  /// none of its architectures.
  public var usesBatchStatistics: Bool

  /// Training, with statistics updated.
  public static let training = Mode(isTraining: true, updatesStatistics: true)
  /// Evaluation: running statistics, no dropout.
  public static let evaluation = Mode(isTraining: false, updatesStatistics: false)
  /// Evaluation of one architecture inside a supernet: the batch's statistics, no dropout.
  public static let supernetEvaluation = Mode(
    isTraining: false, updatesStatistics: false, usesBatchStatistics: true)

  /// A mode from its parts.
  public init(isTraining: Bool, updatesStatistics: Bool, usesBatchStatistics: Bool = false) {
    self.isTraining = isTraining
    self.updatesStatistics = updatesStatistics
    self.usesBatchStatistics = usesBatchStatistics
  }

  /// The mode in force.
  @TaskLocal public static var current: Mode = .training

  /// Runs `body` in `mode`.
  public static func with<R>(_ mode: Mode, _ body: () throws -> R) rethrows -> R {
    try $current.withValue(mode, operation: body)
  }
}
