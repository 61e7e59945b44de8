/// Everything about a search that is not the network, the strategy or the data.
public struct SearchOptions {
  /// Samples in a batch.
  public var batchSize = 64
  /// Fixes shuffles, splits, noise and initial α.
  public var seed: UInt64 = 0
  /// Share of the training images that trains weights; the rest trains α or selects.
  public var split = 0.5
  /// Use only the first so many training images after the shuffle.
  public var images: Int?
  /// The learning rate of the weights over the search.
  public var schedule = LearningRateSchedule.cosine(0.025, to: 0.001)
  /// Momentum of the weights.
  public var momentum: Float = 0.9
  /// Weight decay of the weights.
  public var weightDecay: Float = 3e-4
  /// The largest global norm of the weights' gradients.
  public var clipNorm: Float? = 5
  /// How the weights' optimizer is made, where it is not SGD with the settings above.
  public var makeOptimizer: (([Parameter]) throws -> any Optimizer)?
  /// Makes further networks of the space, for strategies whose network changes or that train two, and
  /// for costs in the network that is retrained.
  public var makeNetwork: NetworkMaker?
  /// The largest costs that the result may have.
  public var limits = CostLimits()
  /// What candidates take on a device; without it `latency_s` is not known.
  public var latency: LatencyTable?
  /// How many of the best evaluated architectures are kept in files of their own.
  public var keep = 0
  /// Loss and metrics.
  public var objective = Objective.classification()
  /// Augmentation of training images, before normalisation.
  public var augmentation: [any Augmentation] = []
  /// Evaluated architectures after training at most.
  public var evaluations = 100
  /// Validation images that an evaluation looks at, at most.
  public var evaluationImages = 1000
  /// Training images, in whole batches, over which each evaluated architecture's batch-norm
  /// statistics are made first; 0: each evaluation batch is normalised by its own.
  public var recalibrationImages = 1024
  /// Whether random architectures are evaluated beside the result.
  public var reportsBaseline = true
  /// Steps between checkpoints; there is one at the end of each epoch too.
  public var checkpointInterval = 200
  /// What must be the same when a run is resumed, as text, and is kept in its checkpoints.
  public var metadata: [String: String] = [:]

  /// The defaults of DARTS' search.
  public init() {}
}
