@testable import Espalier

/// What a strategy needs for a model.
func toyContext(
  _ model: some Layer, _ space: SearchSpace, seed: UInt64 = 5, evaluations: Int = 4,
  learningRate: Float = 0.05, objective: Objective = .classification()
) throws -> SearchContext {
  let weights = try ParameterSet(model)
  return SearchContext(
    model: model, space: space, weights: weights,
    optimizer: try SGD(
      weights.named.map(\.parameter), learningRate: learningRate, momentum: 0.9),
    objective: objective, generator: SearchContext.generator(seed: seed),
    evaluations: evaluations)
}

extension SearchContext {
  /// Prepares a strategy for this context.
  func prepare(_ strategy: any SearchStrategy) throws { try strategy.prepare(self) }
}

/// The choices of a net of `toyImages`.
func toySpace(_ net: any Layer) throws -> SearchSpace {
  func open(_ net: some Layer) throws -> SearchSpace { try SearchSpace(of: net, input: [1, 6, 6]) }
  return try open(net)
}
