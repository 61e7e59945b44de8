/// Scores architectures with the shared weights, each once; those over a limit are not looked at.
///
/// A small space is drawn from many times; only the first time costs an evaluation.
public final class CandidateEvaluator {
  private let space: SearchSpace
  private let measure: (_ choices: [String: ResolvedChoice]) throws -> Double
  private let found: (_ architecture: Architecture, _ score: Double) throws -> Void
  private let admits: (_ choices: [String: ResolvedChoice]) throws -> Bool
  private var scores: [String: Double] = [:]
  /// The best of those scored so far.
  private(set) var best: (choices: [String: ResolvedChoice], score: Double)?

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
    if score > best?.score ?? -.infinity { best = (choices, score) }
    try found(architecture, score)
    return score
  }
}
