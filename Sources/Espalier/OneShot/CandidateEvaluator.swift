/// Scores architectures with the shared weights, each once.
///
/// A small space is drawn from many times; only the first time costs an evaluation.
public final class CandidateEvaluator {
  private let space: SearchSpace
  private let measure: (_ choices: [String: ResolvedChoice]) throws -> Double
  private let found: (_ architecture: Architecture, _ score: Double) throws -> Void
  private var scores: [String: Double] = [:]

  /// An evaluator that has scored nothing yet.
  ///
  /// - Parameters:
  ///   - measure: The score of an architecture; larger is better.
  ///   - found: Told of each architecture once, with its score.
  init(
    _ space: SearchSpace, measure: @escaping ([String: ResolvedChoice]) throws -> Double,
    found: @escaping (_ architecture: Architecture, _ score: Double) throws -> Void = { _, _ in }
  ) {
    self.space = space
    self.measure = measure
    self.found = found
  }

  /// The score of an architecture: its selection metric on validation images, larger is better.
  public func callAsFunction(_ choices: [String: ResolvedChoice]) throws -> Double {
    let architecture = Architecture(choices, in: space.choices)
    let text = architecture.json.compactText
    if let score = scores[text] { return score }
    let score = try measure(choices)
    scores[text] = score
    try found(architecture, score)
    return score
  }
}
