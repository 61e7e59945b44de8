import EspalierTensor

/// Shape and contents of one operand.
public struct OperationInput: Sendable {
  /// What the elements are.
  public enum Fill: Sendable {
    /// Uniform in a range.
    case uniform(Double, Double)
    /// Uniform in a range, at least 0.01 away from each kink, a thousand steps of a difference.
    case away(from: [Double], Double, Double)
    /// Multiples of 1/8 plus an offset: two operands with offsets 0 and 1/16 are never equal.
    case grid(offset: Double)
    /// All different, at least 1/32 apart, in random order.
    case distinct
    /// Whole numbers in a range.
    case integers(Int, Int)
    /// These, repeated.
    case list([Double])
    /// int32 numbers below a bound.
    case labels(Int)
    /// bool.
    case mask

    /// Whether the operand takes the floating-point type of the test.
    public var isFloatingPoint: Bool {
      switch self {
      case .labels, .mask: false
      default: true
      }
    }

    func values(count: Int, _ generator: inout CaseGenerator) -> [Double] {
      switch self {
      case .uniform(let low, let high):
        (0..<count).map { _ in generator.uniform(low, high) }
      case .away(let kinks, let low, let high):
        (0..<count).map { _ in
          var x = generator.uniform(low, high)
          while kinks.contains(where: { abs($0 - x) < 0.01 }) { x = generator.uniform(low, high) }
          return x
        }
      case .grid(let offset):
        (0..<count).map { _ in Double(generator.below(17) - 8) / 8 + offset }
      case .distinct: generator.shuffled((0..<count).map { Double($0 - count / 2) / 32 })
      case .integers(let low, let high):
        (0..<count).map { _ in Double(low + generator.below(high - low + 1)) }
      case .list(let list): (0..<count).map { list[$0 % list.count] }
      case .labels(let classes): (0..<count).map { _ in Double(generator.below(classes)) }
      case .mask: (0..<count).map { _ in Double(generator.below(2)) }
      }
    }
  }

  /// The sizes.
  public let shape: Shape
  /// The contents.
  public let fill: Fill

  /// An operand; by default uniform in [−1, 1].
  public init(_ shape: Shape, _ fill: Fill = .uniform(-1, 1)) {
    self.shape = shape
    self.fill = fill
  }

  /// A tensor of the given contents; floating-point operands take `dtype`.
  public func tensor(_ values: [Double], _ dtype: DType) throws -> Tensor {
    switch fill {
    case .labels: try Tensor(values.map { Int32($0) }, shape: shape)
    case .mask: try Tensor(values.map { $0 != 0 }, shape: shape)
    default:
      dtype == .float64
        ? try Tensor(values, shape: shape)
        : try Tensor(values.map { Float($0) }, shape: shape)
    }
  }
}

/// SplitMix64, seeded by a name: contents depend on nothing else.
public struct CaseGenerator {
  private var state: UInt64

  /// A generator for one operand of one case.
  public init(name: String, seed: UInt64) {
    state = 0xCBF2_9CE4_8422_2325 ^ seed &* 0x9E37_79B9_7F4A_7C15
    for byte in name.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }

  /// A whole number below `bound`.
  public mutating func below(_ bound: Int) -> Int { Int(next() >> 33) % bound }

  /// A float32 number in a range.
  public mutating func uniform(_ low: Double, _ high: Double) -> Double {
    Double(Float(low + (high - low) * Double(next() >> 40) * 0x1p-24))
  }

  /// The elements in random order.
  public mutating func shuffled(_ list: [Double]) -> [Double] {
    var list = list
    for index in list.indices.reversed() { list.swapAt(index, below(index + 1)) }
    return list
  }
}
