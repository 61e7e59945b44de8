import Foundation
import Synchronization

/// A generator of random numbers with a visible state.
///
/// SplitMix64, Steele, Lea and Flood 2014.
public struct SeededGenerator: RandomNumberGenerator, Codable, Hashable, Sendable {
  /// The whole state.
  public var state: UInt64

  /// A generator that starts at `seed`.
  public init(seed: UInt64) { state = seed }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A uniform number in [0, 1).
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A standard normal number (Box-Muller).
  public mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * .pi * uniform())
  }
}

/// The source of initial weights of the models built in a scope.
public final class InitialWeights: Sendable {
  private let generator: Mutex<SeededGenerator>

  /// A source with its own seed.
  public init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }

  /// The source in force; a program that sets none gets the same weights every time it runs.
  @TaskLocal public static var current = InitialWeights(seed: 0)

  /// Builds a model whose initial weights follow from `seed`.
  public static func with<R>(seed: UInt64, _ body: () throws -> R) rethrows -> R {
    try $current.withValue(InitialWeights(seed: seed), operation: body)
  }

  /// Uniform numbers in `[-bound, bound)`.
  public func uniform(_ count: Int, bound: Double) -> [Float] {
    if ShapeOnly.isOn { return [Float](repeating: 0, count: count) }
    return generator.withLock { generator in
      (0..<count).map { _ in Float((generator.uniform() * 2 - 1) * bound) }
    }
  }

  /// Normal numbers of mean 0.
  public func normal(_ count: Int, deviation: Double) -> [Float] {
    if ShapeOnly.isOn { return [Float](repeating: 0, count: count) }
    return generator.withLock { generator in
      (0..<count).map { _ in Float(generator.normal() * deviation) }
    }
  }
}
