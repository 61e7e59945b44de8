/// What the architectures of a space cost in one of its networks.
///
/// A fixed architecture's costs are exact in every space: its forward pass is recorded without being
/// run. Expected costs are sums over choices, each candidate as often as its weight says; a space
/// whose costs do not add up has none.
public final class ArchitectureCosts {
  private let network: any Layer
  private let space: SearchSpace
  private let image: ImageShape
  private var known: [String: [CostKey: Double]] = [:]
  private var sums: [CostKey: CostSum] = [:]

  /// The costs of a network's architectures.
  ///
  /// - Parameters:
  ///   - network: With all its candidates; no architecture was applied.
  ///   - image: What it takes, one at a time.
  public convenience init(of network: any Layer, image: ImageShape) throws(SpaceError) {
    func open(_ network: some Layer) throws(SpaceError) -> SearchSpace {
      try SearchSpace(of: network, input: [image.channels, image.height, image.width])
    }
    self.init(of: network, space: try open(network), image: image)
  }

  /// The costs of a network whose space is known.
  init(of network: any Layer, space: SearchSpace, image: ImageShape) {
    self.network = network
    self.space = space
    self.image = image
  }

  // MARK: One architecture

  /// All costs of an architecture.
  public func exact(_ choices: [String: ResolvedChoice]) -> [CostKey: Double] {
    let text = Architecture(choices, in: space.choices).json.compactText
    if let costs = known[text] { return costs }
    let costs: [CostKey: Double] = [
      .parameters: Double(keptParameters(choices)), .multiplyAdds: Double(multiplyAdds(choices)),
    ]
    known[text] = costs
    return costs
  }

  /// One cost of an architecture.
  public func exact(_ choices: [String: ResolvedChoice], _ key: CostKey) -> Double {
    exact(choices)[key] ?? 0
  }

  /// The first limit that an architecture exceeds, with its cost.
  public func excess(_ choices: [String: ResolvedChoice], over limits: CostLimits) -> (
    key: CostKey, cost: Double, limit: Double
  )? {
    for key in CostKey.allCases {
      guard let limit = limits.limits[key] else { continue }
      let cost = exact(choices, key)
      if cost > limit { return (key, cost, limit) }
    }
    return nil
  }

  private func multiplyAdds(_ choices: [String: ResolvedChoice]) -> Int {
    var decisions: [String: Decision] = [:]
    for choice in space.choices {
      let active = choices[choice.key]?.active ?? []
      // An edge that no input choice takes is not there.
      decisions[choice.key] =
        active.isEmpty && choice.kind != .input
        ? Decision(.fixed, active: [0], mixture: LeftOut()) : Decision(.fixed, active: active)
    }
    return Mode.with(.evaluation) {
      RecordedCost.measure {
        ThreadState.current.with(NarrowRun()) {
          space.with(decisions) {
            _ = network(Tensor(zeros: [1, image.channels, image.height, image.width]))
          }
        }
      }.multiplyAdds
    }
  }

  /// Parameters that are left when the architecture is applied, each once.
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

  // MARK: Expected costs

  /// The expected cost under decisions with weights, one element; recorded, so that weights get its
  /// gradient.
  ///
  /// Each candidate counts as often as its weight says; an edge under a switch that takes n of m edges,
  /// n times in m.
  /// - Throws: `SpaceError` where costs do not add up over the choices.
  public func expected(_ decisions: [String: Decision], _ key: CostKey) throws -> Tensor {
    let sum = try sums[key] ?? CostSum(space) { self.exact($0, key) }
    sums[key] = sum
    return sum.expected(decisions)
  }
}

/// Stands for an edge that is not there.
private struct LeftOut: Mixture {
  func callAsFunction(_ candidates: MixtureCandidates) -> Tensor { candidates.input.zerosLike() }
}
