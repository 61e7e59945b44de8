/// What a model costs, for one image.
public struct ModelCost: Equatable, Sendable {
  /// Number of parameters.
  public var parameters: Int
  /// Multiply-adds of convolutions and linear layers, a bias as one an output; 1 is 2 FLOP.
  public var multiplyAdds: Int

  /// Measures a model by recording its forward pass, in evaluation mode, without running it.
  public init(of model: some Layer, image: ImageShape) {
    parameters = model.parameterCount
    multiplyAdds = Mode.with(.evaluation) {
      RecordedCost.measure {
        _ = model(Tensor(zeros: [1, image.channels, image.height, image.width]))
      }.multiplyAdds
    }
  }
}
