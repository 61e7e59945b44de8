/// The evolution over paths of SPOS (arXiv:1904.00420).
///
/// A round is a population of paths never seen before: mutations and crossovers of the best parents,
/// then random paths; the first round is random. Parents are the best of all that were evaluated,
/// not of the last round.
struct PathEvolution {
  /// Its sizes, by default those of the authors' code.
  struct Settings {
    var generations = 20
    var population = 50
    var parents = 10
    var crossovers = 25
    var mutations = 25
    /// Probability with which a mutation draws each choice anew.
    var mutationProbability = 0.1
  }

  /// A choice for every key, edges that are not taken included: what is inherited.
  private typealias Genes = [String: ResolvedChoice]

  private let space: SearchSpace
  private let settings: Settings
  /// How many paths may still be evaluated.
  private var evaluations: Int
  private var seen: Set<[[Int]]> = []
  /// All that were evaluated, the best first; of equal ones the first evaluated.
  private var ranked: [(genes: Genes, score: Double)] = []

  init(_ space: SearchSpace, settings: Settings, evaluations: Int) {
    self.space = space
    self.settings = settings
    self.evaluations = evaluations
  }

  /// The best path evaluated; nil where none was found that is allowed.
  ///
  /// - Parameters:
  ///   - isAllowed: Asked before a path is evaluated.
  ///   - evaluate: The score of a path; larger is better.
  mutating func run(
    _ generator: inout SeededGenerator,
    isAllowed: (_ path: [String: ResolvedChoice]) throws -> Bool,
    evaluate: (_ path: [String: ResolvedChoice]) throws -> Double
  ) throws -> [String: ResolvedChoice]? {
    for generation in 0..<settings.generations where evaluations > 0 {
      var round: [Genes] = []
      func fill(_ count: Int, _ make: () -> Genes) throws {
        let wanted = min(round.count + count, settings.population, evaluations)
        // A small space is soon used up; a tight limit is worth many draws, which cost little.
        var (repeats, refusals) = (10 * count, 1000 * count)
        while round.count < wanted && repeats > 0 && refusals > 0 {
          let genes = make()
          let path = space.withoutUnusedEdges(genes)
          if try !isAllowed(path) {
            refusals -= 1
          } else if seen.insert(space.choices.map { path[$0.key]?.active ?? [] }).inserted {
            round.append(genes)
          } else {
            repeats -= 1
          }
        }
      }
      if generation > 0 {
        let parents = ranked.prefix(settings.parents).map(\.genes)
        try fill(settings.mutations) {
          mutation(of: parents[.random(in: 0..<parents.count, using: &generator)], &generator)
        }
        try fill(settings.crossovers) {
          crossover(
            parents[.random(in: 0..<parents.count, using: &generator)],
            parents[.random(in: 0..<parents.count, using: &generator)], &generator)
        }
      }
      try fill(settings.population) { randomGenes(&generator) }
      guard !round.isEmpty else { break }
      for genes in round { try rank(genes, try evaluate(space.withoutUnusedEdges(genes))) }
      evaluations -= round.count
    }
    return ranked.first.map { space.withoutUnusedEdges($0.genes) }
  }

  private mutating func rank(_ genes: Genes, _ score: Double) {
    let place = ranked.firstIndex { $0.score < score } ?? ranked.count
    ranked.insert((genes, score), at: place)
  }

  private func randomGenes(_ generator: inout SeededGenerator) -> Genes {
    var genes: Genes = [:]
    for choice in space.choices { genes[choice.key] = space.randomChoice(choice, &generator) }
    return genes
  }

  private func mutation(of parent: Genes, _ generator: inout SeededGenerator) -> Genes {
    var genes = parent
    for choice in space.choices where generator.uniform() < settings.mutationProbability {
      genes[choice.key] = space.randomChoice(choice, &generator)
    }
    return genes
  }

  private func crossover(_ a: Genes, _ b: Genes, _ generator: inout SeededGenerator) -> Genes {
    var genes: Genes = [:]
    for choice in space.choices {
      genes[choice.key] = (Bool.random(using: &generator) ? a : b)[choice.key]
    }
    return genes
  }
}
