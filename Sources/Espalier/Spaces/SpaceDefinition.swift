/// What a model is made for: the data's shape and the user's settings.
public struct SpaceSettings: Sendable {
  /// Channels, height and width of an image.
  public var image: ImageShape
  /// Number of classes, or of outputs in a regression.
  public var classes: Int
  /// Settings by name.
  public var values: SettingValues

  /// Settings for a kind of data.
  public init(image: ImageShape, classes: Int, values: [String: String] = [:]) {
    self.image = image
    self.classes = classes
    self.values = SettingValues(values)
  }

  /// A whole number by name.
  /// - Throws: `SettingError` when it is none or outside `range`.
  public func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>)
    throws(SettingError) -> Int
  { try values.integer(name, default: fallback, in: range) }

  /// Throws where an image is too small.
  func requireImage(atLeast side: Int, for what: String) throws(SettingError) {
    guard min(image.height, image.width) >= side else {
      throw SettingError(
        name: "image", value: "\(image.height)x\(image.width)",
        expected: "at least \(side)x\(side) pixels for \(what)")
    }
  }

  /// A number by name.
  public func number(_ name: String, default fallback: Double, in range: ClosedRange<Double>)
    throws(SettingError) -> Double
  { try values.number(name, default: fallback, in: range) }
}

/// A model of a space: a layer from images to class scores.
public protocol SpaceModel: Layer {
  /// Scores and, while training, the scores of an auxiliary head if there is one.
  func withAuxiliary(_ images: Tensor) -> (scores: Tensor, auxiliary: Tensor?)
  /// The drop-path probability, where the model has drop path.
  var dropPathRate: Float { get set }
}

extension SpaceModel {
  /// Without an auxiliary head.
  public func withAuxiliary(_ images: Tensor) -> (scores: Tensor, auxiliary: Tensor?) {
    (self(images), nil)
  }
  /// No drop path.
  public var dropPathRate: Float {
    get { 0 }
    set {}
  }
}

/// Which of a space's two networks.
public enum NetworkRole: Sendable {
  /// The one that is searched.
  case supernet
  /// The one that is trained with an architecture applied.
  case retraining
}

/// Makes networks of one space for one kind of data, with settings put over those of the search.
public typealias NetworkMaker = (_ role: NetworkRole, _ settings: [String: String]) throws ->
  any SpaceModel

/// A named search space with its supernet and its retraining network.
public struct SpaceDefinition: Sendable {
  /// Its name on the command line.
  public let name: String
  /// One line.
  public let summary: String
  /// Where it comes from; may be empty.
  public let paper: String
  /// What `--set` takes.
  public let settings: [SettingDescription]
  /// Makes the network that is searched.
  public let makeSupernet: @Sendable (SpaceSettings) throws(SettingError) -> any SpaceModel
  /// Makes the network that is trained with an architecture applied.
  public let makeRetrainingNetwork: @Sendable (SpaceSettings) throws(SettingError) -> any SpaceModel

  /// A space; a program with its own gives it to the command line.
  ///
  /// - Parameters:
  ///   - name: Its name on the command line.
  ///   - summary: One line.
  ///   - paper: Where it comes from, if from anywhere.
  ///   - settings: What `--set` takes.
  ///   - makeSupernet: Makes the network that is searched.
  ///   - makeRetrainingNetwork: Makes the network that is trained with an architecture applied; nil:
  ///     the same as the supernet.
  public init(
    name: String, summary: String, paper: String = "", settings: [SettingDescription] = [],
    makeSupernet: @escaping @Sendable (SpaceSettings) throws(SettingError) -> any SpaceModel,
    makeRetrainingNetwork:
      (@Sendable (SpaceSettings) throws(SettingError) -> any SpaceModel)? = nil
  ) {
    self.name = name
    self.summary = summary
    self.paper = paper
    self.settings = settings
    self.makeSupernet = makeSupernet
    self.makeRetrainingNetwork = makeRetrainingNetwork ?? makeSupernet
  }

  /// All spaces.
  public static let all: [SpaceDefinition] = [
    MNISTSpace.definition,
    DARTSSpace.definition,
    ENASMacroSpace.definition,
    ENASMicroSpace.definition,
    NASBench201Space.definition,
    NASBenchMacroSpace.definition,
    ProxylessSpace.definition,
    SPOSSpace.definition,
  ]

  /// The space of a name.
  public static func named(_ name: String) -> SpaceDefinition? { all.first { $0.name == name } }

  /// One of its networks.
  /// - Throws: `SettingError` where a setting makes no sense.
  public func network(_ role: NetworkRole, _ settings: SpaceSettings) throws(SettingError)
    -> any SpaceModel
  {
    switch role {
    case .supernet: try makeSupernet(settings)
    case .retraining: try makeRetrainingNetwork(settings)
    }
  }
}
