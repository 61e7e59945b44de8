/// What a search looks at: batches that train weights, batches that train α, and images to select by.
struct SearchData {
  /// Augmented batches that train weights; an epoch is one pass over them.
  let training: DataLoader
  /// Augmented batches of the other part; nil where it is empty.
  let validation: DataLoader?
  /// Loaders over the images that evaluations look at, each from the beginning.
  let makeEvaluation: () -> DataLoader
  /// Loaders over the training images that make an evaluation's batch-norm statistics, in batches of
  /// one size; nil where each evaluation batch makes its own.
  let makeRecalibration: (() -> DataLoader)?

  /// Splits the training images after a seeded shuffle; the test set is not looked at.
  ///
  /// - Parameter needsValidation: Whether the other part may not be empty.
  init(_ data: LoadedData, options: SearchOptions, needsValidation: Bool) throws(SettingError) {
    let set = data.train
    let (first, second) = DatasetSplit.halves(
      count: set.count, portion: options.split, seed: options.seed, images: options.images ?? .max)
    guard !first.isEmpty, !second.isEmpty || !needsValidation else {
      throw SettingError(
        name: "split", value: "\(options.split)",
        expected: "a share that leaves an image to each part, of \(first.count + second.count)")
    }
    let normalize = Normalize(data.statistics)
    func loader(_ indices: [Int], seed: UInt64) -> DataLoader {
      DataLoader(
        set, indices: indices, batchSize: options.batchSize,
        transforms: options.augmentation + [normalize], seed: seed)
    }
    training = loader(first, seed: options.seed)
    validation = second.isEmpty ? nil : loader(second, seed: options.seed &+ 1)
    let held = Array((second.isEmpty ? first : second).prefix(options.evaluationImages))
    func plain(_ indices: [Int], dropsLast: Bool) -> DataLoader {
      DataLoader(
        set, indices: indices, batchSize: options.batchSize, transforms: [normalize],
        seed: options.seed, shuffles: false, dropsLast: dropsLast)
    }
    makeEvaluation = { plain(held, dropsLast: false) }
    let seen = Array(first.prefix(options.recalibrationImages))
    makeRecalibration = seen.isEmpty ? nil : { plain(seen, dropsLast: true) }
  }
}

extension DataLoader {
  /// The sizes of batches that occur: the full one and, where it is smaller, the last one.
  var batchSizes: [Int] {
    let full = min(batchSize, samplesInEpoch)
    let last = samplesInEpoch % batchSize
    return last == 0 || last == full ? [full] : [full, last]
  }

  /// A batch of zeros like this loader's, for planning.
  func zeros(_ count: Int) throws -> TensorBatch {
    let shape: Shape = [count, imageShape.channels, imageShape.height, imageShape.width]
    let images = try Tensor([Float](repeating: 0, count: shape.count), shape: shape)
    guard targetCount > 0 else {
      return TensorBatch(
        images: images, labels: try Tensor([Int32](repeating: 0, count: count)))
    }
    return TensorBatch(
      images: images, labels: nil,
      targets: try Tensor(
        [Float](repeating: 0, count: count * targetCount), shape: [count, targetCount]))
  }
}
