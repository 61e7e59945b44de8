/// `y = x·Wᵀ + b`: `[N, in]` → `[N, out]`.
///
/// Weights and bias start uniform in ±1 / √in, as in PyTorch.
public final class Linear: Module, Layer {
  /// `[out, in]`.
  public let weight: Parameter
  /// `[out]`, or nil.
  public let bias: Parameter?

  /// A linear layer with random weights.
  public init(_ inputFeatures: Int, _ outputFeatures: Int, bias: Bool = true) {
    precondition(
      inputFeatures > 0 && outputFeatures > 0, "Linear: \(inputFeatures) to \(outputFeatures)")
    let bound = 1 / Double(inputFeatures).squareRoot()
    let source = InitialWeights.current
    weight = Parameter(
      source.uniform(inputFeatures * outputFeatures, bound: bound),
      shape: [outputFeatures, inputFeatures])
    self.bias =
      bias
      ? Parameter(source.uniform(outputFeatures, bound: bound), shape: [outputFeatures]) : nil
  }

  /// `[N, in]` → `[N, out]`.
  public func callAsFunction(_ x: Tensor) -> Tensor { linear(x, weight.value, bias?.value) }
}
