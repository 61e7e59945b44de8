/// Scores architectures with the shared weights, each once; those over a limit are not looked at.
///
/// A small space is drawn from many times; only the first time costs an evaluation.
public final class CandidateEvaluator {
  private let space: SearchSpace
  private let measure: (_ choices: [String: ResolvedChoice]) throws -> Double
  private let found: (_ architecture: Architecture, _ score: Double) throws -> Void
  private let admits: (_ choices: [String: ResolvedChoice]) throws -> Bool
  private var scores: [String: Double] = [:]
  /// Those scored so far, the best first; of equal ones the first that was looked at.
  private(set) var ranked: [(choices: [String: ResolvedChoice], score: Double)] = []

  /// An evaluator that has scored nothing yet.
  ///
  /// - Parameters:
  ///   - admits: Whether an architecture keeps to all limits.
  ///   - measure: The score of an architecture; larger is better.
  ///   - found: Told of each architecture once, with its score.
  init(
    _ space: SearchSpace,
    admits: @escaping (_ choices: [String: ResolvedChoice]) throws -> Bool = { _ in true },
    measure: @escaping ([String: ResolvedChoice]) throws -> Double,
    found: @escaping (_ architecture: Architecture, _ score: Double) throws -> Void = { _, _ in }
  ) {
    self.space = space
    self.admits = admits
    self.measure = measure
    self.found = found
  }

  /// The score of an architecture: its selection metric on validation images, larger is better; minus
  /// infinity where it exceeds a limit.
  public func callAsFunction(_ choices: [String: ResolvedChoice]) throws -> Double {
    let architecture = Architecture(choices, in: space.choices)
    let text = architecture.json.compactText
    if let score = scores[text] { return score }
    guard try admits(choices) else { return -.infinity }
    let score = try measure(choices)
    scores[text] = score
    ranked.insert((choices, score), at: ranked.firstIndex { $0.score < score } ?? ranked.count)
    try found(architecture, score)
    return score
  }
}
