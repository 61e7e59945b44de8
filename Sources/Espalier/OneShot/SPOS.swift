/// Single path one-shot (Guo and others 2020, arXiv:1904.00420).
///
/// Each step trains one path, drawn uniformly, or uniformly within a bin of a window of costs. After
/// training an evolution evaluates paths by the shared weights, each with batch-norm statistics of
/// its own; the best of all that were evaluated is the result.
///
/// Unlike the authors' code and NNI's: paths of a bin are drawn by counting, never by trying until it
/// gives up; input choices take part; no augmentation while statistics are made; all draws come from
/// the search's generator.
public final class SPOS: SearchStrategy {
  /// `spos`.
  public static let name = "spos"
  /// False: only weights are trained.
  public let needsValidationBatch = false

  /// Costs of the paths that train.
  public struct Window: Sendable {
    /// Which cost.
    public var cost: CostKey
    /// The costs wanted.
    public var range: ClosedRange<Double>
    /// Equal bins of the range, drawn uniformly; 7 in NNI.
    public var binCount: Int

    /// A window.
    public init(cost: CostKey, range: ClosedRange<Double>, binCount: Int = 7) {
      self.cost = cost
      self.range = range
      self.binCount = binCount
    }
  }

  private let evolution: PathEvolution.Settings
  private let window: Window?
  private let costs: PathCosts?

  /// What `prepare` makes.
  private struct Search {
    var space: SearchSpace
    var window: CostWindow?
    var probabilities: [String: [Double]]
    var best: [String: ResolvedChoice]
  }
  private var search: Search?

  /// A search with the authors' defaults.
  ///
  /// - Parameters:
  ///   - evolution: Sizes of the evolution after training.
  ///   - window: Costs of the paths that train; nil for all paths.
  ///   - costs: What a path costs, and whether it may be evaluated; nil: as the search says.
  init(
    evolution: PathEvolution.Settings = PathEvolution.Settings(), window: Window? = nil,
    costs: PathCosts? = nil
  ) {
    self.evolution = evolution
    self.window = window
    self.costs = costs
  }

  /// Counts the paths of the window's bins.
  ///
  /// - Throws: `SpaceError` where no path lies in the window, or costs do not add up over choices.
  public func prepare(_ search: SearchContext) throws {
    let space = search.space
    guard let window else {
      self.search = Search(
        space: space, window: nil, probabilities: space.uniformProbabilities,
        best: search.randomArchitecture())
      return
    }
    let costs = costs ?? PathCosts(search)
    let sampler = try CostWindow(
      space, key: window.cost.rawValue, range: window.range, binCount: window.binCount,
      strategy: SPOS.name
    ) { try costs.exact($0, window.cost) }
    self.search = Search(
      space: space, window: sampler, probabilities: SPOS.shares(space, sampler),
      best: sampler.draw(&search.generator))
  }

  /// How often each candidate occurs among 4,096 paths of a window.
  private static func shares(_ space: SearchSpace, _ window: CostWindow) -> [String: [Double]] {
    var shares = space.uniformProbabilities.mapValues { $0.map { _ in 0.0 } }
    var generator = SeededGenerator(seed: 0)
    let draws = 4096
    for _ in 0..<draws {
      for (key, choice) in window.draw(&generator) {
        for index in choice.active { shares[key]?[index] += 1 / Double(draws) }
      }
    }
    return shares
  }

  private var prepared: Search {
    guard let search else { preconditionFailure("SPOS: prepare(_:) comes first") }
    return search
  }

  /// Trains one path.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let path = prepared.window?.draw(&search.generator) ?? search.randomArchitecture()
    return try search.trainWeights(search.space.sampledDecisions(path), training)
  }

  /// What paths are drawn by.
  public func probabilities() throws -> [String: [Double]] { prepared.probabilities }

  /// The first path drawn, or the best one evaluated.
  public func architecture() throws -> [String: ResolvedChoice] { prepared.best }

  /// The best path of the evolution.
  public func finish(_ search: SearchContext, evaluate: CandidateEvaluator) throws
    -> [String: ResolvedChoice]
  {
    var evolution = PathEvolution(
      search.space, settings: evolution, evaluations: max(1, search.evaluations))
    let costs = costs ?? PathCosts(search)
    let best = try evolution.run(&search.generator) {
      try costs.isWithinLimits($0)
    } evaluate: {
      try evaluate($0)
    }
    if let best { self.search?.best = best }
    return try architecture()
  }
}

/// What paths of a space cost.
struct PathCosts {
  /// A cost.
  var exact: (_ choices: [String: ResolvedChoice], _ key: CostKey) throws -> Double
  /// Whether a path keeps to all limits.
  var isWithinLimits: (_ choices: [String: ResolvedChoice]) throws -> Bool
}

extension PathCosts {
  /// Those of a search.
  init(_ search: SearchContext) {
    self.init(exact: { try search.costs().exact($0, $1) }, isWithinLimits: search.admits)
  }
}

extension SPOS {
  static let definition = StrategyDefinition(
    name: name,
    summary: "trains uniformly drawn paths, keeps the best that an evolution evaluates afterwards",
    paper: "Guo et al. 2020, arXiv:1904.00420",
    parameters: [
      SettingDescription("generations", "20", "rounds of the evolution, capped by evaluations"),
      SettingDescription("population", "50", "paths evaluated in a round"),
      SettingDescription("parents", "10", "best paths so far that the next round comes from"),
      SettingDescription("crossovers", "25", "paths of a round that mix two parents"),
      SettingDescription("mutations", "25", "paths of a round that change a parent"),
      SettingDescription("mutation_probability", "0.1", "of each choice of a mutation"),
      SettingDescription("window_cost", "multiply_adds", "the cost whose window paths train in"),
      SettingDescription("window_low", "0.0", "the least cost of a path that trains"),
      SettingDescription("window_high", "0.0", "the largest; 0: all paths train"),
      SettingDescription("window_bins", "7", "equal bins of the window, drawn uniformly"),
    ],
    make: { values throws(SettingError) in
      var evolution = PathEvolution.Settings()
      evolution.generations = try values.integer("generations", default: 20, in: 1...100_000)
      evolution.population = try values.integer("population", default: 50, in: 1...100_000)
      evolution.parents = try values.integer("parents", default: 10, in: 1...100_000)
      evolution.crossovers = try values.integer("crossovers", default: 25, in: 0...100_000)
      evolution.mutations = try values.integer("mutations", default: 25, in: 0...100_000)
      evolution.mutationProbability = try values.number(
        "mutation_probability", default: 0.1, in: 0...1)
      let cost = try values.cost("window_cost", default: .multiplyAdds)
      let high = try values.number("window_high", default: 0, in: 0...1e18)
      let low = try values.number("window_low", default: 0, in: 0...1e18)
      let bins = try values.integer("window_bins", default: 7, in: 1...1000)
      guard high == 0 || low <= high else {
        throw SettingError(
          name: "window_low", value: "\(low)", expected: "at most window_high, \(high)")
      }
      return SPOS(
        evolution: evolution,
        window: high > 0 ? Window(cost: cost, range: low...high, binCount: bins) : nil)
    })
}
