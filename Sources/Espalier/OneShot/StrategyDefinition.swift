/// A named one-shot strategy with its hyper-parameters.
public struct StrategyDefinition: Sendable {
  /// Its name on the command line.
  public let name: String
  /// One line.
  public let summary: String
  /// Where it comes from.
  public let paper: String
  /// Its hyper-parameters, which `--set` takes.
  public let parameters: [SettingDescription]
  /// Makes the strategy; throws where a hyper-parameter makes no sense.
  public let make: @Sendable (SettingValues) throws(SettingError) -> any SearchStrategy

  /// All strategies.
  public static let all: [StrategyDefinition] = [
    DARTS.definition,
    ENAS.definition,
    FBNet.definition,
    PathDropout.definition,
    ProxylessNAS.definition,
    RandomSearch.definition,
    SPOS.definition,
  ]

  /// The strategy of a name.
  public static func named(_ name: String) -> StrategyDefinition? {
    all.first { $0.name == name }
  }
}
