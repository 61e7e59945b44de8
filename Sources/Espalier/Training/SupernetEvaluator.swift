/// Evaluates architectures on test images with the weights of a supernet that was trained.
///
/// As in the search, batch-norm statistics of each are made first, over the same training images.
public struct SupernetEvaluator {
  private let search: SearchContext
  private let training: SearchData
  private let makeTest: () -> DataLoader

  /// An evaluator.
  ///
  /// - Parameters:
  ///   - net: The supernet, with its weights.
  ///   - data: The images that it was trained with, and test images.
  ///   - options: Those of its search: split, batch size and seed say which images make statistics.
  ///   - testImages: Looks at the first so many test images; nil: all.
  public init(
    _ net: some Layer, data: LoadedData, options: SearchOptions, testImages: Int? = nil
  ) throws {
    training = try SearchData(data, options: options, needsValidation: false)
    let image = training.training.imageShape
    search = try SearchContext(
      net, input: [image.channels, image.height, image.width], options: options,
      position: TrainingPosition(training.training, epochs: 1))
    let count = min(testImages ?? data.test.count, data.test.count)
    makeTest = {
      DataLoader(
        data.test, indices: Array(0..<count), batchSize: options.batchSize,
        transforms: [Normalize(data.statistics)], seed: 0, shuffles: false)
    }
  }

  /// The choices of the supernet.
  public var choices: [ChoiceDescription] { search.space.choices }

  /// Loss and metrics of an architecture.
  public func callAsFunction(_ choices: [String: ResolvedChoice]) throws -> EvaluationResult {
    try search.evaluate(
      choices, over: makeTest(), recalibratedOver: training.makeRecalibration?())
  }
}
