/// The counter-based generator Philox 4x32-10: its n-th value is a pure function of key and
/// counter, so threads, prefetching and resuming cannot change what a sample draws.
///
/// Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
public struct Philox: RandomNumberGenerator, Sendable {
  /// What a stream of numbers is for; streams of different purpose never meet.
  public enum Purpose: UInt32, Sendable {
    /// The order of samples in an epoch.
    case order
    /// What augmentation draws for one sample.
    case augmentation
    /// The division of a data set.
    case split
    /// The making of synthetic samples.
    case synthesis
  }

  private let key: SIMD2<UInt32>
  private var counter: SIMD4<UInt32>
  private var block = SIMD4<UInt32>()
  private var used = 4

  /// Creates the stream of a purpose for one sample of one epoch.
  ///
  /// - Parameters:
  ///   - seed: The user's seed.
  ///   - purpose: What the numbers are for.
  ///   - epoch: The epoch from 0, below 2^32.
  ///   - index: The sample in its data set from 0, below 2^32.
  public init(seed: UInt64, purpose: Purpose, epoch: Int = 0, index: Int = 0) {
    key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    counter = SIMD4(
      0, UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: epoch), purpose.rawValue)
  }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    let low = next32()
    return UInt64(low) | UInt64(next32()) << 32
  }

  /// The next 32 random bits.
  public mutating func next32() -> UInt32 {
    if used == 4 {
      block = Philox.block(counter: counter, key: key)
      counter.x &+= 1
      used = 0
    }
    defer { used += 1 }
    return block[used]
  }

  /// A number in [0, 1) with 24 random bits.
  public mutating func uniform() -> Float { Float(next32() >> 8) * 0x1p-24 }

  /// An unbiased integer from 0 to `bound` - 1, for bounds from 1 to 2^32 - 1.
  ///
  /// Own arithmetic (Lemire 2019) instead of the standard library's, whose method is not part of
  /// its interface and may change.
  public mutating func integer(below bound: Int) -> Int {
    precondition(bound > 0 && bound <= Int(UInt32.max), "integer(below: \(bound))")
    let range = UInt32(bound)
    var product = UInt64(next32()) * UInt64(range)
    if UInt32(truncatingIfNeeded: product) < range {
      let threshold = (0 &- range) % range
      while UInt32(truncatingIfNeeded: product) < threshold {
        product = UInt64(next32()) * UInt64(range)
      }
    }
    return Int(product >> 32)
  }

  /// A seeded Fisher-Yates shuffle in place.
  public mutating func shuffle(_ values: inout [Int]) {
    guard values.count > 1 else { return }
    for i in stride(from: values.count - 1, to: 0, by: -1) {
      values.swapAt(i, integer(below: i + 1))
    }
  }

  /// Ten rounds on one counter.
  static func block(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (c0, c1, c2, c3) = (counter.x, counter.y, counter.z, counter.w)
    var (k0, k1) = (key.x, key.y)
    for _ in 0..<10 {
      let product0 = UInt64(0xD251_1F53) &* UInt64(c0)
      let product1 = UInt64(0xCD9E_8D57) &* UInt64(c2)
      (c0, c1, c2, c3) = (
        UInt32(truncatingIfNeeded: product1 >> 32) ^ c1 ^ k0,
        UInt32(truncatingIfNeeded: product1),
        UInt32(truncatingIfNeeded: product0 >> 32) ^ c3 ^ k1,
        UInt32(truncatingIfNeeded: product0)
      )
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return SIMD4(c0, c1, c2, c3)
  }
}
