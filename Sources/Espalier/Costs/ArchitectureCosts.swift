/// What the architectures of a space cost in one of its networks.
///
/// Made once by a run of shapes through every candidate of every choice, it is a sum over choices.
/// Where what runs depends on choices in other ways (whether an input choice took anything, a number as
/// a choice, parts that are pruned) an architecture's costs are those of the network with the
/// architecture applied, each measured once.
public final class ArchitectureCosts {
  private let space: SearchSpace
  private let image: ImageShape
  private let network: any Layer
  /// Makes the network again, to apply an architecture; nil where there is only this one.
  private let remake: (() throws -> any Layer)?
  private let latency: LatencyTable?
  /// The sums that are known so far; that of latencies is made when it is asked for.
  private var sums: [CostKey: CostSum]
  private let parts: CostPart
  /// Whether the sums are exact for every architecture, by the way in which the network uses choices.
  private let addsUp: Bool
  /// Sums that random architectures were held to, where it is not known otherwise that they are exact.
  private var checkedSums: Set<CostKey> = []
  private var measured: [String: ModelCost] = [:]
  private var expectations: [CostKey: CostExpectation] = [:]

  /// The costs of a network's architectures.
  ///
  /// - Parameters:
  ///   - network: With all its candidates; no architecture was applied.
  ///   - image: What it takes, one at a time.
  ///   - latency: What candidates take on a device; without it `latency_s` is not known.
  public convenience init(
    of network: any Layer, image: ImageShape, latency: LatencyTable? = nil
  ) throws(SpaceError) {
    self.init(
      of: network, space: try ArchitectureCosts.space(of: network, image), image: image,
      latency: latency)
  }

  /// The costs of the architectures of a network that can be made again.
  ///
  /// - Parameters:
  ///   - image: What it takes, one at a time.
  ///   - latency: What candidates take on a device; without it `latency_s` is not known.
  ///   - network: Makes the network, whose weights are of no interest and are not allocated.
  public convenience init(
    image: ImageShape, latency: LatencyTable? = nil, network: @escaping () throws -> any Layer
  ) throws {
    let made = try ShapeOnly.with { () throws -> any Layer in try network() }
    self.init(
      of: made, space: try ArchitectureCosts.space(of: made, image), image: image,
      latency: latency, remake: network)
  }

  /// The costs of a network whose space is known.
  init(
    of network: any Layer, space: SearchSpace, image: ImageShape, latency: LatencyTable? = nil,
    remake: (() throws -> any Layer)? = nil
  ) {
    func parts(_ network: some Layer) -> (CostPart, Bool) {
      CostRun.parts(of: network, space: space, image: image)
    }
    (self.network, self.space, self.image) = (network, space, image)
    (self.latency, self.remake) = (latency, remake)
    let (whole, isPlain) = parts(network)
    let parameters = CostSum.parameters(of: network)
    self.parts = whole
    addsUp = isPlain && parameters != nil
    sums = [.multiplyAdds: whole.sum { part, _ in Double(part.multiplyAdds) }]
    sums[.parameters] = parameters
  }

  private static func space(of network: any Layer, _ image: ImageShape) throws(SpaceError)
    -> SearchSpace
  {
    func open(_ network: some Layer) throws(SpaceError) -> SearchSpace {
      try SearchSpace(of: network, input: [image.channels, image.height, image.width])
    }
    return try open(network)
  }

  /// The costs that are known.
  public var keys: [CostKey] { CostKey.allCases.filter { $0 != .latency || latency != nil } }

  // MARK: One architecture

  /// All known costs of an architecture.
  ///
  /// An edge that no input choice takes costs nothing.
  /// - Throws: `LatencyError` where the table lacks a candidate.
  public func exact(_ choices: [String: ResolvedChoice]) throws -> [CostKey: Double] {
    var costs: [CostKey: Double] = [:]
    for key in keys { costs[key] = try exact(choices, key) }
    return costs
  }

  /// One cost of an architecture.
  ///
  /// - Throws: `LatencyError` where latencies are not known, or the table lacks a candidate.
  public func exact(_ choices: [String: ResolvedChoice], _ key: CostKey) throws -> Double {
    let taken = space.withoutUnusedEdges(choices)
    if addsUp || key == .latency { return try sum(key).value(taken) }
    let cost = try measure(taken)
    return Double(key == .parameters ? cost.parameters : cost.multiplyAdds)
  }

  /// The first limit that an architecture exceeds, with its cost.
  public func excess(_ choices: [String: ResolvedChoice], over limits: CostLimits) throws -> (
    key: CostKey, cost: Double, limit: Double
  )? {
    for key in CostKey.allCases {
      guard let limit = limits.limits[key] else { continue }
      let cost = try exact(choices, key)
      if cost > limit { return (key, cost, limit) }
    }
    return nil
  }

  /// Throws where no architecture at all can keep to the limits, or the latency table lacks a row.
  public func requireReachable(_ limits: CostLimits) throws {
    if latency != nil { _ = try sum(.latency) }
    for key in CostKey.allCases {
      // What does not add up has no bound.
      guard let limit = limits.limits[key], addsUp || key == .latency else { continue }
      let least = try sum(key).lowerBound { edge in
        space.choices.contains { $0.kind == .input && $0.candidateNames.contains(edge) }
      }
      if least > limit { throw LimitError.unreachable(key, limit: limit, least: least) }
    }
  }

  /// The costs of the network with an architecture applied.
  private func measure(_ choices: [String: ResolvedChoice]) throws -> ModelCost {
    let architecture = Architecture(choices, in: space.choices)
    let text = architecture.json.compactText
    if let cost = measured[text] { return cost }
    func measure(_ network: some Layer) -> ModelCost { ModelCost(of: network, image: image) }
    let cost: ModelCost
    if let remake {
      cost = try ShapeOnly.with {
        let network = try remake()
        try network.apply(architecture)
        return measure(network)
      }
    } else {
      cost = record(choices)
    }
    measured[text] = cost
    return cost
  }

  // MARK: A network that cannot be made again

  /// The costs of the network while decisions hold an architecture.
  private func record(_ choices: [String: ResolvedChoice]) -> ModelCost {
    var decisions: [String: Decision] = [:]
    for choice in space.choices {
      let active = choices[choice.key]?.active ?? []
      // An edge that no input choice takes is not there.
      decisions[choice.key] =
        active.isEmpty && choice.kind != .input
        ? Decision(.fixed, active: [0], mixture: LeftOut()) : Decision(.fixed, active: active)
    }
    func run(_ network: some Layer) -> ModelCost {
      ThreadState.current.with(NarrowRun()) {
        space.with(decisions) { ModelCost(of: network, image: image) }
      }
    }
    var cost = run(network)
    cost.parameters = keptParameters(choices)
    return cost
  }

  /// Parameters that are left when an architecture is applied, each once.
  private func keptParameters(_ choices: [String: ResolvedChoice]) -> Int {
    var seen: Set<ObjectIdentifier> = []
    func count(_ member: any ModuleMember) -> Int {
      guard seen.insert(ObjectIdentifier(member)).inserted else { return 0 }
      if let parameter = member as? Parameter { return parameter.shape.count }
      if let choice = member as? LayerChoice, let key = choice.box.key {
        return (choices[key]?.active ?? []).reduce(0) { $0 + count(choice.candidates[$1].layer) }
      }
      if let layer = member as? any ElasticLayer {
        return layer.parameterCount { $0.size(in: choices) }
      }
      if let row = member as? Repeat, let key = row.box.key {
        let depth = choices[key]?.active.last.map { row.depths[$0] } ?? 0
        return row.blocks.prefix(depth).reduce(0) { $0 + count($1) }
      }
      guard let module = member as? Module else { return 0 }
      return module.children.reduce(0) { $0 + count($1.member) }
    }
    return count(network)
  }

  // MARK: Sums

  /// A cost as a sum over choices.
  private func sum(_ key: CostKey) throws -> CostSum {
    if let sum = sums[key] { return sum }
    guard key == .latency else {
      throw SpaceError.undecidable(
        key: key.rawValue, strategy: "an expected cost",
        reason: "candidates share parameters, so they do not add up; use a limit")
    }
    guard let latency else { throw LatencyError.noTable }
    let sum = try latency.sum(of: parts, in: space)
    sums[.latency] = sum
    return sum
  }

  /// Throws where a cost is no sum over choices, as an expected cost must be.
  ///
  /// - Parameter strategy: Who asks, for the message.
  public func requireSum(_ key: CostKey, for strategy: String) throws {
    let sum = try sum(key)
    if addsUp || checkedSums.contains(key) || key == .latency { return }
    var generator = SeededGenerator(seed: 0)
    for _ in 0..<16 {
      let choices = space.randomArchitecture(&generator)
      let exact = try exact(choices, key)
      guard sum.value(choices) == exact else {
        throw SpaceError.undecidable(
          key: key.rawValue, strategy: strategy,
          reason: "it does not add up over the choices, one candidate's depends on another choice; "
            + "use a limit, or a strategy that samples")
      }
    }
    checkedSums.insert(key)
  }

  /// The expected cost under decisions with weights, one element; recorded, so that weights get their
  /// gradient.
  ///
  /// Choices count as independent, each candidate as often as its weight says. An edge that input
  /// choices name counts as often as they take it: by their weights where they have some; where all
  /// inputs are mixed and n of m will be taken, n times in m.
  /// - Throws: `SpaceError` where costs do not add up over the choices.
  public func expected(_ decisions: [String: Decision], _ key: CostKey) throws -> Tensor {
    try requireSum(key, for: "an expected cost")
    let expectation = try expectations[key] ?? CostExpectation(try sum(key), in: space)
    expectations[key] = expectation
    return try expectation(decisions)
  }

  /// The expected cost under weights, a vector for each key.
  public func expected(weights: [String: Tensor], _ key: CostKey) throws -> Tensor {
    try expected(
      weights.mapValues {
        Decision(.fixed, active: Array(0..<$0.shape.count), weights: $0)
      }, key)
  }
}

/// Stands for an edge that is not there.
private struct LeftOut: Mixture {
  func callAsFunction(_ candidates: MixtureCandidates) -> Tensor { candidates.input.zerosLike() }
}
