/// Partially connected differentiable architecture search (arXiv:1907.05737).
///
/// Only 1/K of the channels go through an edge's candidates, the others past them: the mixture takes
/// 1/K of the memory, and operations without weights gain less by being trained early. Which edges a
/// node keeps is steadied by edge normalisation: the node weighs its edges by `softmax(β)`, and in the
/// end an edge counts `β · max α`. α and β stand still at first, while the weights learn.
///
/// Candidates are built for their channels, so the network is what is partial, and a strategy does
/// not touch a layer's insides: `prepare` goes on with the space's network at `partial_channels=K`.
/// A space without that setting, or a network that the trainer was given alone, is searched as it is.
/// Edges are normalised where an input choice takes them, as in the space `darts`.
///
/// One shuffle a node stands for the authors' one an edge, which is the same. Their learning rate of
/// 0.1 at batch 256 for the weights is the search's to set.
public final class PCDARTS: MixedStrategy {
  /// `pc-darts`.
  public static let name = "pc-darts"
  private let options: MixedSearchOptions
  private let partialChannels: Int
  private let warmUp: Double
  /// What `prepare` made.
  public private(set) var mixed: MixedSearch?

  /// A search.
  ///
  /// - Parameters:
  ///   - partialChannels: K; 4 in the authors' code.
  ///   - warmUp: The share of the search in which only weights learn; 0.3 there.
  public init(
    _ options: MixedSearchOptions = PCDARTS.defaults, partialChannels: Int = 4, warmUp: Double = 0.3
  ) {
    self.options = options
    self.partialChannels = partialChannels
    self.warmUp = warmUp
  }

  /// The authors' settings of α.
  public static var defaults: MixedSearchOptions {
    var options = MixedSearchOptions()
    options.alpha.learningRate = 6e-4
    return options
  }

  /// Takes the partial network, and makes α and β.
  public func prepare(_ search: SearchContext) throws {
    if search.makesNetworks {
      let network = try search.network(
        .supernet, settings: ["partial_channels": "\(partialChannels)"], for: Self.name)
      try search.replaceModel(network)
    }
    mixed = try MixedSearch(search, options, weighsEdges: true)
  }

  /// One update of α and β after the warm-up, one of the weights.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let held = try validation()
    if search.isRehearsing || search.position.progress >= warmUp {
      try prepared.trainAlpha(search, held)
    }
    let result = try prepared.trainWeights(search, training)
    try prepared.measureCurvature(search, held)
    return result
  }
}

extension PCDARTS {
  static let definition = StrategyDefinition(
    name: name,
    summary:
      "mixes 1/K of the channels and weighs edges, where the space has partial_channels; else all",
    paper: "Xu et al. 2020, arXiv:1907.05737",
    parameters: MixedSearchOptions.settings(learningRate: "0.0006") + [
      SettingDescription(
        "partial_channels", "4", "K: 1/K of the channels go through the candidates"),
      SettingDescription("warm_up", "0.3", "share of the search in which only weights learn"),
    ],
    make: { values throws(SettingError) in
      PCDARTS(
        try MixedSearchOptions(values, alpha: defaults.alpha),
        partialChannels: try values.integer("partial_channels", default: 4, in: 1...1024),
        warmUp: try values.number("warm_up", default: 0.3, in: 0...0.9))
    })
}
