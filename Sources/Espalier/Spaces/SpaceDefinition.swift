/// What a model is made for: the data's shape and the user's settings.
public struct SpaceSettings: Sendable {
  /// Channels, height and width of an image.
  public var image: ImageShape
  /// Number of classes, or of outputs in a regression.
  public var classes: Int
  /// Settings by name, as text.
  public var values: [String: String]

  /// Settings for a kind of data.
  public init(image: ImageShape, classes: Int, values: [String: String] = [:]) {
    self.image = image
    self.classes = classes
    self.values = values
  }

  /// A whole number by name.
  /// - Throws: `SettingError` when it is none or outside `range`.
  public func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>)
    throws(SettingError) -> Int
  {
    guard let text = values[name] else { return fallback }
    guard let value = Int(text), range.contains(value) else {
      throw SettingError(name: name, value: text, expected: "a whole number in \(range)")
    }
    return value
  }

  /// A number by name.
  public func number(_ name: String, default fallback: Double, in range: ClosedRange<Double>)
    throws(SettingError) -> Double
  {
    guard let text = values[name] else { return fallback }
    guard let value = Double(text), range.contains(value) else {
      throw SettingError(name: name, value: text, expected: "a number in \(range)")
    }
    return value
  }
}

/// A setting that does not make sense.
public struct SettingError: Error, CustomStringConvertible, Equatable {
  /// Which.
  public var name: String
  /// What was given.
  public var value: String
  /// What would do.
  public var expected: String

  /// An error about one setting.
  public init(name: String, value: String, expected: String) {
    self.name = name
    self.value = value
    self.expected = expected
  }

  /// One line for people.
  public var description: String { "setting \(name)=\(value): expected \(expected)" }
}

/// A setting or hyper-parameter, for lists and help.
public struct SettingDescription: Sendable {
  /// Its name in `--set name=value`.
  public let name: String
  /// Its default as text.
  public let defaultValue: String
  /// One line.
  public let summary: String

  /// A description.
  public init(_ name: String, _ defaultValue: String, _ summary: String) {
    self.name = name
    self.defaultValue = defaultValue
    self.summary = summary
  }
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

/// A named search space with its supernet and its retraining network.
public struct SpaceDefinition: Sendable {
  /// Its name on the command line.
  public let name: String
  /// One line.
  public let summary: String
  /// Where it comes from.
  public let paper: String
  /// What `--set` takes.
  public let settings: [SettingDescription]
  /// Makes the network that is searched.
  public let makeSupernet: @Sendable (SpaceSettings) throws(SettingError) -> any SpaceModel
  /// Makes the network that is trained with an architecture applied.
  public let makeRetrainingNetwork: @Sendable (SpaceSettings) throws(SettingError) -> any SpaceModel

  /// All spaces.
  public static let all: [SpaceDefinition] = [MNISTSpace.definition, DARTSSpace.definition]

  /// The space of a name.
  public static func named(_ name: String) -> SpaceDefinition? { all.first { $0.name == name } }
}
