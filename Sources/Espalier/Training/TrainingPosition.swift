/// Where a training is: steps and epochs done, and how many there will be.
public struct TrainingPosition: Equatable, Sendable {
  /// Steps done; inside a step the number of this step from 0.
  public package(set) var step = 0
  /// Steps in all.
  public let stepCount: Int
  /// Epochs done: the number of the running epoch from 0.
  public package(set) var epoch = 0
  /// Epochs in all.
  public let epochCount: Int

  /// The beginning.
  init(stepCount: Int, epochCount: Int) {
    self.stepCount = stepCount
    self.epochCount = epochCount
  }

  /// The beginning of so many passes over a loader.
  init(_ loader: DataLoader, epochs: Int) {
    self.init(stepCount: epochs * loader.batchesInEpoch, epochCount: epochs)
  }

  /// Steps in an epoch.
  public var stepsPerEpoch: Int { stepCount / epochCount }

  /// The share of steps that are done, from 0 to 1: what schedules depend on.
  public var progress: Double { Double(step) / Double(stepCount) }
}
