extension SettingDescription {
  /// What every verb takes.
  public static let common: [SettingDescription] = [
    SettingDescription("images", "all", "use the first N training images after the shuffle"),
    SettingDescription(
      "test_images", "all", "use the first N test images; a search looks at none"),
    SettingDescription(
      "split", "0.5", retraining: "1", "share of the training images that trains weights"),
    SettingDescription("evaluations", "100", "architectures evaluated after training at most"),
  ]

  /// What both kinds of training take.
  ///
  /// - Parameter augmentation: The defaults for the images at hand; nil: say those of all images.
  static func training(_ augmentation: ImageAugmentation?) -> [SettingDescription] {
    [
      SettingDescription("learning_rate", "0.025", "the weights' learning rate at the start"),
      SettingDescription(
        "final_learning_rate", "0.001", retraining: "0.0", "at the end of the cosine"),
      SettingDescription("momentum", "0.9", "the weights' momentum"),
      SettingDescription("weight_decay", "0.0003", "the weights' decay"),
      SettingDescription("clip_norm", "5.0", "largest norm of the weights' gradient; 0: any"),
      .augmenting("crop", augmentation, "pixels by which a random crop moves") { "\($0.crop)" },
      .augmenting("flip", augmentation, "mirror half of the images") { "\($0.flips)" },
      SettingDescription("checkpoint_interval", "200", "steps between checkpoints"),
    ]
  }

  /// A setting of `ImageAugmentation`, whose default depends on the images.
  fileprivate static func augmenting(
    _ name: String, _ augmentation: ImageAugmentation?, _ summary: String,
    value: (ImageAugmentation) -> String
  ) -> SettingDescription {
    if let augmentation { return SettingDescription(name, value(augmentation), summary) }
    return SettingDescription(
      name, value(ImageAugmentation()), colour: value(.ofColourImages), summary)
  }
}

extension SearchOptions {
  /// What a search takes beside the space's and the strategy's settings.
  ///
  /// - Parameter augmentation: The defaults for the images at hand; nil: say those of all images.
  public static func settings(_ augmentation: ImageAugmentation? = nil) -> [SettingDescription] {
    SettingDescription.common + SettingDescription.training(augmentation) + [
      SettingDescription(
        "evaluation_images", "1000", "validation images that an evaluation looks at, at most"),
      SettingDescription(
        "recalibration_images", "1024",
        "training images that make an evaluation's batch-norm statistics; 0: its own batches do"),
      SettingDescription(
        "keep", "0", "best architectures evaluated that get files of their own, best/1.json and on"),
    ]
  }

  /// The options that settings give.
  ///
  /// - Parameters:
  ///   - values: What was given.
  ///   - augmentation: The default for the images.
  public init(_ values: SettingValues, augmentation: ImageAugmentation) throws(SettingError) {
    self.init()
    images = try values.optionalInteger("images", in: 1...Int.max)
    split = try values.number("split", default: split, in: 0.001...1)
    evaluations = try values.integer("evaluations", default: evaluations, in: 0...1_000_000)
    evaluationImages = try values.integer(
      "evaluation_images", default: evaluationImages, in: 1...Int.max)
    recalibrationImages = try values.integer(
      "recalibration_images", default: recalibrationImages, in: 0...Int.max)
    keep = try values.integer("keep", default: keep, in: 0...1_000_000)
    schedule = .cosine(
      try values.number("learning_rate", default: 0.025, in: 0...100),
      to: try values.number("final_learning_rate", default: 0.001, in: 0...100))
    momentum = Float(try values.number("momentum", default: 0.9, in: 0...0.9999))
    weightDecay = Float(try values.number("weight_decay", default: 3e-4, in: 0...10))
    let norm = try values.number("clip_norm", default: 5, in: 0...1e6)
    clipNorm = norm > 0 ? Float(norm) : nil
    checkpointInterval = try values.integer(
      "checkpoint_interval", default: checkpointInterval, in: 1...Int.max)
    _ = try values.optionalInteger("test_images", in: 1...Int.max)
    self.augmentation = try augmentation.with(values).early
  }
}

extension RetrainOptions {
  /// What a retraining takes beside the space's settings.
  ///
  /// - Parameter augmentation: The defaults for the images at hand; nil: say those of all images.
  public static func settings(_ augmentation: ImageAugmentation? = nil) -> [SettingDescription] {
    SettingDescription.common + SettingDescription.training(augmentation) + [
      .augmenting("cutout", augmentation, "side of cutout's square in pixels") { "\($0.cutout)" },
      .augmenting("drop_path", augmentation, "drop-path probability at the end") {
        "\($0.dropPath)"
      },
    ]
  }

  /// The options that settings give.
  ///
  /// - Parameters:
  ///   - values: What was given.
  ///   - augmentation: The default for the images.
  ///   - trainingImages: How many training images there are.
  public init(_ values: SettingValues, augmentation: ImageAugmentation, trainingImages: Int)
    throws(SettingError)
  {
    self.init()
    let all = min(
      try values.optionalInteger("images", in: 1...Int.max) ?? trainingImages, trainingImages)
    let share = try values.number("split", default: 1, in: 0.001...1)
    images = max(1, Int((Double(all) * share).rounded()))
    testImages = try values.optionalInteger("test_images", in: 1...Int.max)
    schedule = .cosine(
      try values.number("learning_rate", default: 0.025, in: 0...100),
      to: try values.number("final_learning_rate", default: 0, in: 0...100))
    momentum = Float(try values.number("momentum", default: 0.9, in: 0...0.9999))
    weightDecay = Float(try values.number("weight_decay", default: 3e-4, in: 0...10))
    let norm = try values.number("clip_norm", default: 5, in: 0...1e6)
    clipNorm = norm > 0 ? Float(norm) : nil
    auxiliaryWeight = Float(try values.number("auxiliary_weight", default: 0.4, in: 0...10))
    checkpointInterval = try values.integer(
      "checkpoint_interval", default: checkpointInterval, in: 1...Int.max)
    let changes = try augmentation.with(values)
    self.augmentation = changes.early
    lateAugmentation = changes.late
    dropPath = Float(changes.dropPath)
    // Every verb takes it; a retraining has nothing to evaluate but still refuses nonsense.
    _ = try values.integer("evaluations", default: 100, in: 0...1_000_000)
  }
}
