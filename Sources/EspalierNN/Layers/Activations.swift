/// `max(x, 0)`.
public final class ReLU: Module, Layer {
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { relu(x) }
}

/// `min(max(x, 0), 6)`.
public final class ReLU6: Module, Layer {
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { relu6(x) }
}

/// `x` where positive, else `slope · x`.
public final class LeakyReLU: Module, Layer {
  private let slope: Float
  /// A leaky ReLU.
  public init(slope: Float = 0.01) { self.slope = slope }
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { leakyRelu(x, slope: slope) }
}

/// `1 / (1 + e⁻ˣ)`.
public final class Sigmoid: Module, Layer {
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { sigmoid(x) }
}

/// The hyperbolic tangent.
public final class Tanh: Module, Layer {
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { tanh(x) }
}

/// `x · relu6(x + 3) / 6`.
public final class HardSwish: Module, Layer {
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { hardSwish(x) }
}

/// `x · Φ(x)`.
public final class GELU: Module, Layer {
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { gelu(x) }
}

/// `x · sigmoid(x)`.
public final class SiLU: Module, Layer {
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { silu(x) }
}
