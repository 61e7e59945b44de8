/// What a choice does in this pass: all that a strategy writes.
public struct Decision {
  /// Whether the choice is part of what is planned, or data.
  public enum Kind: Sendable {
    /// The same for many steps: a mixture, a pruned model. Nothing is cut.
    case fixed
    /// May differ every step: planned once a candidate, never once a combination.
    case sampled
  }

  /// Fixed or sampled.
  public var kind: Kind
  /// The candidates that run, ascending.
  public var active: [Int]
  /// A vector that holds the candidates' multipliers, differentiable; nil: all 1.
  public var weights: Tensor?
  /// Where in `weights` the first candidate's multiplier is.
  public var weightOffset: Int
  /// How results and weights become the output.
  public var mixture: any Mixture

  /// A decision from its parts.
  public init(
    _ kind: Kind, active: [Int], weights: Tensor? = nil, weightOffset: Int = 0,
    mixture: any Mixture = WeightedSum()
  ) {
    self.kind = kind
    self.active = active
    self.weights = weights
    self.weightOffset = weightOffset
    self.mixture = mixture
  }

  /// One candidate for many steps.
  public static func fixed(_ index: Int) -> Decision { Decision(.fixed, active: [index]) }
  /// One candidate for this step.
  public static func sampled(_ index: Int) -> Decision { Decision(.sampled, active: [index]) }
}

/// How the active candidates' results and their weights become the output of a choice.
///
/// Algorithms with terms of their own (GDAS, ProxylessNAS) write one; choices know none of them.
public protocol Mixture {
  /// The output; `run(k)` computes candidate k's result, at most once each.
  func callAsFunction(_ candidates: MixtureCandidates) -> Tensor
}

/// What a mixture sees of a choice.
public struct MixtureCandidates {
  /// What the candidates are applied to.
  public let input: Tensor
  /// The candidates that run.
  public let active: [Int]
  /// The vector of multipliers, or nil.
  public let weights: Tensor?
  /// Where in `weights` the first candidate's multiplier is.
  public let weightOffset: Int
  /// Computes a candidate's result.
  public let run: (Int) -> Tensor
  /// Whether a candidate's result is exactly zero whatever the input.
  public let isZero: (Int) -> Bool
}

/// `Σ_k w_k · o_k(x)`, one n-ary operation; candidates that are exactly zero are not computed.
public struct WeightedSum: Mixture {
  /// The default mixture.
  public init() {}

  /// The weighted sum of the active candidates.
  public func callAsFunction(_ candidates: MixtureCandidates) -> Tensor {
    var running = candidates.active.filter { !candidates.isZero($0) }
    // Something must give the output its shape.
    if running.isEmpty { running = Array(candidates.active.prefix(1)) }
    let results = running.map(candidates.run)
    guard let weights = candidates.weights else { return addAll(results) }
    return weightedSum(
      results, weights: weights, indices: running.map { $0 + candidates.weightOffset })
  }
}

/// Which candidates of a choice ran.
public struct ChoiceMask: Equatable, Sendable {
  /// One flag a candidate.
  public var flags: [Bool]

  /// A mask from its flags.
  public init(_ flags: [Bool]) { self.flags = flags }

  /// Candidates in either mask.
  public static func | (a: ChoiceMask, b: ChoiceMask) -> ChoiceMask {
    precondition(a.flags.count == b.flags.count, "masks of \(a.flags.count) and \(b.flags.count)")
    return ChoiceMask(zip(a.flags, b.flags).map { $0 || $1 })
  }
  /// Candidates in both masks.
  public static func & (a: ChoiceMask, b: ChoiceMask) -> ChoiceMask {
    precondition(a.flags.count == b.flags.count, "masks of \(a.flags.count) and \(b.flags.count)")
    return ChoiceMask(zip(a.flags, b.flags).map { $0 && $1 })
  }
  /// Candidates not in the mask.
  public static prefix func ~ (a: ChoiceMask) -> ChoiceMask { ChoiceMask(a.flags.map { !$0 }) }

  /// The elements of `list` whose flag is set.
  public func select<T>(_ list: [T]) -> [T] {
    precondition(list.count == flags.count, "a mask of \(flags.count) for \(list.count)")
    return zip(list, flags).filter { $0.1 }.map { $0.0 }
  }
}
