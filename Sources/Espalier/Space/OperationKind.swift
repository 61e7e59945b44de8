/// A layer that hands its input on, at another size where it must: a skip connection.
public protocol SkipLayer: Layer {}

extension Identity: SkipLayer {}
extension FactorizedReduce: SkipLayer {}

/// What a candidate of a layer choice is to a search that may collapse.
enum OperationKind {
  /// Exactly zero.
  case zero
  /// A skip connection.
  case skip
  /// Anything else that has no weights: pooling.
  case parameterFree
  /// What weights make.
  case parametric
}

extension SearchSpace {
  /// The kinds of a choice's candidates; empty for choices of anything but layers.
  func operationKinds(_ key: String) -> [OperationKind] {
    guard let choice = mutables[key]?.first as? LayerChoice else { return [] }
    return choice.candidates.map { _, layer in
      switch layer {
      case is any ZeroLayer: .zero
      case is any SkipLayer: .skip
      default:
        // The γ and β of a batch norm behind a pooling are no weights of an operation.
        layer.parameters.contains { $0.shape.rank > 1 } ? .parametric : .parameterFree
      }
    }
  }
}
