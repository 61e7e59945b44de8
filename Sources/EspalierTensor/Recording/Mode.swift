/// Whether layers behave as in training; a property of the task, not of the modules.
public struct Mode: Sendable {
  /// Dropout drops, batch norm normalises by the batch.
  public var isTraining: Bool
  /// Batch norm updates its running statistics while training.
  public var updatesStatistics: Bool

  /// Training, with statistics updated.
  public static let training = Mode(isTraining: true, updatesStatistics: true)
  /// Evaluation: running statistics, no dropout.
  public static let evaluation = Mode(isTraining: false, updatesStatistics: false)

  /// A mode from its parts.
  public init(isTraining: Bool, updatesStatistics: Bool) {
    self.isTraining = isTraining
    self.updatesStatistics = updatesStatistics
  }

  /// The mode in force.
  @TaskLocal public static var current: Mode = .training

  /// Runs `body` in `mode`.
  public static func with<R>(_ mode: Mode, _ body: () throws -> R) rethrows -> R {
    try $current.withValue(mode, operation: body)
  }
}
