/// Zeroes elements with probability `p` while training and divides the rest by 1 − p.
public final class Dropout: Module, Layer {
  private let p: Float
  /// A dropout of single elements.
  public init(_ p: Float) {
    precondition(p >= 0 && p <= 1, "Dropout: probability \(p)")
    self.p = p
  }
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { dropout(x, p) }
}

/// Zeroes whole channels of a sample with probability `p` while training; divides the rest by 1 − p.
public final class Dropout2d: Module, Layer {
  private let p: Float
  /// A dropout of channels.
  public init(_ p: Float) {
    precondition(p >= 0 && p <= 1, "Dropout2d: probability \(p)")
    self.p = p
  }
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { dropout(x, p, unit: .channel) }
}

/// Zeroes whole samples with probability `rate` while training; divides the rest by 1 − rate.
///
/// The rate may change between steps (DARTS raises it linearly); at 0 it is still recorded, so a
/// change needs no new plan.
public final class DropPath: Module, Layer {
  /// The probability, in [0, 1].
  public var rate: Float
  /// A drop path.
  public init(_ rate: Float = 0) { self.rate = rate }
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { dropout(x, rate, unit: .sample) }
}
