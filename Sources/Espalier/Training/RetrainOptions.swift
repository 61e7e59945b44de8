/// Everything about a retraining that is not the network or the data.
public struct RetrainOptions {
  /// Samples in a batch; 96 as in DARTS.
  public var batchSize = 96
  /// Fixes shuffles, augmentation and drop path.
  public var seed: UInt64 = 0
  /// Use only the first so many training images after the shuffle.
  public var images: Int?
  /// Use only the first so many test images.
  public var testImages: Int?
  /// The learning rate over the training.
  public var schedule = LearningRateSchedule.cosine(0.025)
  /// Momentum.
  public var momentum: Float = 0.9
  /// Weight decay.
  public var weightDecay: Float = 3e-4
  /// The largest global norm of the gradients.
  public var clipNorm: Float? = 5
  /// How the optimizer is made, where it is not SGD with the settings above.
  public var makeOptimizer: (([Parameter]) throws -> any Optimizer)?
  /// Loss and metrics.
  public var objective = Objective.classification()
  /// Augmentation of training images, before normalisation.
  public var augmentation: [any Augmentation] = []
  /// Augmentation after normalisation: cutout.
  public var lateAugmentation: [any Augmentation] = []
  /// Weight of the auxiliary head's loss.
  public var auxiliaryWeight: Float = 0.4
  /// Drop-path probability at the end; it rises linearly from 0.
  public var dropPath: Float = 0
  /// Steps between checkpoints; there is one at the end of each epoch too.
  public var checkpointInterval = 200
  /// Kept in the checkpoints; what must be the same when a run is resumed.
  public var metadata: [String: String] = [:]

  /// The defaults of DARTS' evaluation, without augmentation and drop path.
  public init() {}
}
