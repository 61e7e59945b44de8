/// Layers applied one after another.
public final class Sequential: Module, Layer, ExpressibleByArrayLiteral {
  /// The layers, in order.
  public let layers: [any Layer]

  /// A sequence of layers.
  public init(_ layers: [any Layer]) { self.layers = layers }
  /// A sequence of layers.
  public convenience init(_ layers: any Layer...) { self.init(layers) }
  /// A sequence of layers.
  public convenience init(arrayLiteral elements: any Layer...) { self.init(elements) }

  /// The layers, named "0", "1", ….
  public override var children: [(name: String, member: any ModuleMember)] {
    layers.enumerated().map { ("\($0.offset)", $0.element) }
  }

  /// Applies all layers.
  public func callAsFunction(_ x: Tensor) -> Tensor { layers.reduce(x) { $1($0) } }
}

/// The input as it is.
public final class Identity: Module, Layer {
  /// The shape stays.
  public func callAsFunction(_ x: Tensor) -> Tensor { x }
}

/// `[N, C, H, W]` → `[N, C·H·W]`.
public final class Flatten: Module, Layer {
  /// All dimensions but the first become one.
  public func callAsFunction(_ x: Tensor) -> Tensor { x.flattened(from: 1) }
}
