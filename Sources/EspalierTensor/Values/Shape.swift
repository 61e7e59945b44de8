/// The size of a tensor in each dimension, outermost first: `[N, C, H, W]` for images.
///
/// Up to six dimensions, stored inline: shapes are made by the thousand while a step is recorded.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// Six sizes, a gap, the rank: in halves, because a vector of all eight would need more alignment
  /// than `malloc` gives, and every recorded value holds a shape.
  private var low: SIMD4<Int32>
  private var high: SIMD4<Int32>

  /// The largest number of dimensions a tensor may have.
  public static let maximumRank = 6

  /// A shape with the given sizes.
  /// - Precondition: At most six sizes, each from 0 to 2³¹ − 1.
  public init(_ sizes: some Collection<Int>) {
    precondition(
      sizes.count <= Shape.maximumRank, "shape \(Array(sizes)) has more than six dimensions")
    low = SIMD4(repeating: 0)
    high = SIMD4(repeating: 0)
    var index = 0
    for size in sizes {
      precondition(size >= 0 && size <= Int(Int32.max), "shape \(Array(sizes)) has size \(size)")
      self[raw: index] = Int32(truncatingIfNeeded: size)
      index += 1
    }
    high[3] = Int32(truncatingIfNeeded: index)
  }

  /// A shape from its sizes.
  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// Number of dimensions.
  public var rank: Int { Int(high[3]) }

  /// Number of elements; 1 for a scalar.
  public var count: Int {
    var product = 1
    for axis in 0..<rank { product *= Int(self[raw: axis]) }
    return product
  }

  /// The size of a dimension; negative axes count from the end.
  public subscript(axis: Int) -> Int {
    get { Int(self[raw: normalized(axis)]) }
    set { self[raw: normalized(axis)] = Int32(newValue) }
  }

  private subscript(raw index: Int) -> Int32 {
    get { index < 4 ? low[index] : high[index - 4] }
    set { if index < 4 { low[index] = newValue } else { high[index - 4] = newValue } }
  }

  /// The sizes as an array.
  public var dimensions: [Int] { (0..<rank).map { Int(self[raw: $0]) } }

  /// The same shape written `[8, 3, 32, 32]`.
  public var description: String { "\(dimensions)" }

  /// The axis counted from the front.
  /// - Precondition: `axis` is in `-rank..<rank`.
  public func normalized(_ axis: Int) -> Int {
    let index = axis < 0 ? axis + rank : axis
    precondition(index >= 0 && index < rank, "axis \(axis) is out of range for shape \(self)")
    return index
  }

  /// The shape of an elementwise result by the usual broadcasting rules, or nil.
  public func broadcast(with other: Shape) -> Shape? {
    if self == other { return self }
    let rank = max(self.rank, other.rank)
    var result = [Int](repeating: 1, count: rank)
    for offset in 1...max(rank, 1) where offset <= rank {
      let a = offset <= self.rank ? self[-offset] : 1
      let b = offset <= other.rank ? other[-offset] : 1
      guard a == b || a == 1 || b == 1 else { return nil }
      result[rank - offset] = a == 1 ? b : a
    }
    return Shape(result)
  }

  /// Four 64-bit words that identify the shape, for plan keys.
  var words: SIMD4<UInt64> {
    let (a, b) = (
      unsafeBitCast(low, to: SIMD2<UInt64>.self), unsafeBitCast(high, to: SIMD2<UInt64>.self)
    )
    return SIMD4(lowHalf: a, highHalf: b)
  }
}
