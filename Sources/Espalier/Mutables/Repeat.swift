/// So many of a row of blocks: depth as a choice.
///
/// Of n blocks the first d run, d one of the candidates. A sampled depth is data: each block beyond
/// the smallest depth is planned once as itself and once as the identity, whatever the others do. A
/// mixture is the weighted sum of what the first d blocks give, over all candidates d.
///
/// Until something is decided the first candidate is taken.
public final class Repeat: Module, Layer, Mutable {
  /// The blocks, as many as the largest depth; once applied as many as were chosen.
  public private(set) var blocks: [any Layer]
  /// The depths to choose from, ascending.
  public let depths: [Int]
  /// The key given by the user.
  public let explicitKey: String?
  /// Where the decision stands.
  public var box = DecisionBox()
  /// What was applied.
  public private(set) var applied: ResolvedChoice?
  private var appliedWeights: Tensor?

  /// A row of blocks.
  ///
  /// - Parameters:
  ///   - depths: How many blocks may run, ascending; 0 is the identity.
  ///   - key: Choices of one key share the decision; by default the property path.
  ///   - block: Makes the i-th block.
  /// - Precondition: Depths ascend, and the last one is at least 1.
  public init(_ depths: [Int], key: String? = nil, block: (Int) -> any Layer) {
    precondition(
      depths.first.map { $0 >= 0 } == true && depths.last.map { $0 > 0 } == true
        && zip(depths, depths.dropFirst()).allSatisfy { $0 < $1 },
      "Repeat: depths \(depths) must ascend from at least 0 to at least 1")
    self.depths = depths
    blocks = (0..<(depths.last ?? 0)).map(block)
    explicitKey = key
  }

  /// The blocks, named "0", "1", ….
  public override var children: [(name: String, member: any ModuleMember)] {
    blocks.enumerated().map { ("\($0.offset)", $0.element) }
  }

  /// The output of as many blocks as were decided.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    if let check = ShapeCheck.current { return check.run(self, x) }
    let decision =
      applied.map { Decision(.fixed, active: $0.active, weights: appliedWeights) }
      ?? currentDecision(default: .fixed(0))
    precondition(!decision.active.isEmpty, "Repeat \(label): no depth is active")
    let isSampled = decision.kind == .sampled
    let outputs = run(x, decision.active.map { depths[$0] }, isSampled: isSampled)
    if decision.active.count == 1 && decision.weights == nil && decision.mixture is WeightedSum {
      return outputs[0]
    }
    if isSampled { ChoiceMarks.begin(key: label, inputs: outputs + [x]) }
    var output = decision.mixture(
      MixtureCandidates(
        input: x, active: decision.active, weights: decision.weights,
        weightOffset: decision.weightOffset,
        run: { [active = decision.active] index in
          guard let position = active.firstIndex(of: index) else {
            // Only mixtures whose gradient looks at candidates that did not run ask for those.
            return self.run(x, [self.depths[index]], isSampled: false)[0]
          }
          return outputs[position]
        }, isZero: { _ in false }))
    if isSampled {
      output = ChoiceMarks.leave(output, carriesGradient: true)
      ChoiceMarks.end(key: label)
    }
    return output
  }

  /// What the first d blocks give, for each wanted d.
  func run(_ x: Tensor, _ wanted: [Int], isSampled: Bool) -> [Tensor] {
    let deepest = wanted.reduce(0, max)
    var (y, prefixes) = (x, [x])
    // In a sampled pass blocks that do not run have a cut of their own too: then what is planned does
    // not depend on the depth.
    for index in 0..<(isSampled ? blocks.count : deepest) {
      let runs = index < deepest
      guard isSampled, index >= depths[0] else {
        y = runs ? blocks[index](y) : y
        prefixes.append(y)
        continue
      }
      let key = "\(label).\(index)"
      ChoiceMarks.begin(key: key, inputs: [y])
      y = ChoiceMarks.leave(runs ? blocks[index](y) : y, carriesGradient: true)
      ChoiceMarks.end(key: key)
      prefixes.append(y)
    }
    // The last one is what a sampled pass hands on, behind the blocks that did not run.
    return wanted.map { $0 == deepest ? y : prefixes[$0] }
  }

  private var label: String { box.key ?? explicitKey ?? "repeat" }

  // MARK: Architectures

  /// Each depth on its own.
  public var rehearsalVariants: [[Int]] { depths.indices.map { [$0] } }

  /// Kind, key and depths.
  public func description(key: String) -> ChoiceDescription {
    ChoiceDescription(key: key, kind: .value, candidateNames: depths.map(String.init))
  }

  /// Keeps the blocks that run; of a soft choice those of the largest depth with weight.
  public func apply(_ choice: ResolvedChoice) {
    precondition(applied == nil, "Repeat \(label): an architecture was applied already")
    if let weights = choice.weights {
      appliedWeights = Parameter(weights.map { Float($0) }, shape: [weights.count]).value
    }
    blocks = Array(blocks.prefix(choice.active.map { depths[$0] }.reduce(0, max)))
    applied = choice
  }
}
