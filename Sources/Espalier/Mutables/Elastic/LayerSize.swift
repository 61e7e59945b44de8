/// A layer's number of channels or features or its kernel's size: a number, or a choice of numbers.
///
/// ```swift
/// let width = ValueChoice([8, 16, 32])
/// let conv = ElasticConv2d(3, .chosen(width), kernelSize: .chosen(ValueChoice([3, 5])))
/// let head = ElasticLinear(.chosen(width, times: 7 * 7), 10)
/// ```
public enum LayerSize: ExpressibleByIntegerLiteral {
  /// Always the same.
  case fixed(Int)
  /// A candidate of a choice of whole numbers, times a factor.
  case chosen(ValueChoice, times: Int = 1)

  /// A fixed size.
  public init(integerLiteral value: Int) { self = .fixed(value) }

  /// The choice, if there is one.
  public var choice: ValueChoice? {
    if case .chosen(let choice, _) = self { choice } else { nil }
  }

  /// All sizes that it may have, in the order of the candidates.
  public var candidates: [Int] {
    switch self {
    case .fixed(let size): return [size]
    case .chosen(let choice, let factor):
      guard let sizes = choice.integers else {
        preconditionFailure("LayerSize: candidates \(choice.candidateNames) are not whole numbers")
      }
      return sizes.map { $0 * factor }
    }
  }

  /// The size of the supernet.
  public var largest: Int { candidates.reduce(0, max) }

  /// The size that is left: the applied one; the largest while nothing or a mixture is applied.
  public var kept: Int {
    guard let applied = choice?.applied, applied.weights == nil, let index = applied.active.first
    else { return largest }
    return candidates[index]
  }

  /// The size in an architecture of the space.
  func size(in choices: [String: ResolvedChoice]) -> Int {
    guard let key = choice?.box.key, let index = choices[key]?.active.first else { return kept }
    return candidates[index]
  }

  /// The size that is applied or decided now.
  var decided: Int {
    guard let choice, choice.applied == nil, let index = choice.box.decision?.active.first else {
      return kept
    }
    return candidates[index]
  }
}

/// The elements that each candidate of a size has, as masks over the largest.
///
/// A mask is 1 where the candidate has the element and 0 elsewhere. Masks are constants: choosing
/// among them is choosing an operand, which is data.
struct SizeMasks {
  private let size: LayerSize
  private let masks: [Tensor]

  /// - Parameters:
  ///   - size: Of which each candidate gets a mask.
  ///   - shape: The masks' shape.
  ///   - contains: Whether the candidate of so many elements has the i-th element.
  init(_ size: LayerSize, shape: Shape, contains: (_ size: Int, _ element: Int) -> Bool) {
    self.size = size
    guard size.choice != nil else {
      masks = []
      return
    }
    masks = size.candidates.map { candidate in
      Parameter(
        (0..<shape.count).map { contains(candidate, $0) ? 1 : 0 }, shape: shape
      ).value
    }
  }

  /// The decided mask or the mixture of masks; nil where nothing is masked.
  var current: Tensor? {
    guard let choice = size.choice else { return nil }
    // Cut to one candidate nothing is left to mask.
    if let applied = choice.applied, applied.weights == nil { return nil }
    return choice(masks)
  }
}

/// The choices among sizes, as children of the layer that they belong to.
func choiceChildren(
  _ sizes: KeyValuePairs<String, LayerSize>
) -> [(name: String, member: any ModuleMember)] {
  sizes.compactMap { name, size in size.choice.map { (name, $0) } }
}
