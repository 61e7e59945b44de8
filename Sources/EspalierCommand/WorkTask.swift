import Espalier
import EspalierTensor
import Foundation

/// What a verb works on: space, data, device and settings, checked.
struct WorkTask {
  let space: SpaceDefinition
  let source: DataSource
  let data: LoadedData
  let device: Device
  let seed: UInt64
  let settings: SettingValues
  let image: ImageShape
  let classes: Int

  /// Checks the fields and loads the data.
  ///
  /// - Parameters:
  ///   - fields: What flags and configuration say together.
  ///   - given: The flags alone, whose settings must all be known.
  ///   - dataSeed: What a synthetic set is made from, where that is not the seed.
  ///   - extra: Settings that the verb takes beside the space's.
  init(
    _ fields: RunFields, given: RunFields, dataSeed: UInt64? = nil, extra: [SettingDescription]
  ) throws {
    space = try SpaceCatalog.named(
      fields.required("space", valid: SpaceCatalog.all.map(\.name)))
    let known = space.settings + extra
    try WorkTask.check(given.settings, against: known)
    source = try DataSource.parse(fields.required("data", valid: DataSource.names))
    device = try Device(named: fields["device"] ?? "auto")
    seed = try fields.seed()
    // A configuration of another verb may hold more.
    settings = SettingValues(
      fields.settings.filter { key, _ in known.contains { $0.name == key } })
    try device.probe()
    data = try source.load(seed: dataSeed ?? seed)
    image = ImageShape(
      channels: data.train.channels, height: data.train.height, width: data.train.width)
    guard let classes = data.classCount else {
      throw UsageError("--data \(source): has no classes")
    }
    self.classes = classes
  }

  /// Throws at a setting that none of `known` describes.
  static func check(_ settings: [String: String], against known: [SettingDescription])
    throws(UsageError)
  {
    let names = known.map(\.name)
    for name in settings.keys.sorted() where !names.contains(name) {
      throw UsageError(unknown: "setting", name, valid: names)
    }
  }

  /// What the space is made with.
  var spaceSettings: SpaceSettings {
    SpaceSettings(image: image, classes: classes, values: settings.texts)
  }

  /// What suits the images, with what was set.
  var augmentation: ImageAugmentation { ImageAugmentation(for: image) }

  /// The network that is searched, with weights from the seed.
  func makeSupernet(seed: UInt64? = nil) throws -> any SpaceModel {
    try makeNetwork(.supernet, seed: seed)
  }

  /// The network that is retrained, with weights from the seed.
  func makeRetrainingNetwork(seed: UInt64? = nil) throws -> any SpaceModel {
    try makeNetwork(.retraining, seed: seed)
  }

  /// A network of the space with settings put over those given, with weights from the seed.
  func makeNetwork(_ role: NetworkRole, settings over: [String: String] = [:], seed: UInt64? = nil)
    throws -> any SpaceModel
  {
    var settings = spaceSettings
    settings.values.texts.merge(over) { $1 }
    return try InitialWeights.with(seed: seed ?? self.seed) { try space.network(role, settings) }
  }

  /// Each setting with its value, given or default.
  func hyperParameters(_ descriptions: [SettingDescription], isRetraining: Bool) -> JSONObject {
    var object = JSONObject()
    for item in descriptions {
      let text =
        settings.texts[item.name] ?? (isRetraining ? item.retrainingDefault : nil)
        ?? item.defaultValue
      object[item.name] = Int(text).map { .integer($0) } ?? .string(text)
    }
    return object
  }
}

extension SpaceDefinition {
  /// The choices of the supernet for a kind of images.
  func searchSpace(_ settings: SpaceSettings) throws -> SearchSpace {
    func open(_ net: some SpaceModel) throws -> SearchSpace {
      let image = settings.image
      return try SearchSpace(of: net, input: [image.channels, image.height, image.width])
    }
    return try open(try makeSupernet(settings))
  }
}

extension DataSource {
  /// The same with a path that does not depend on the working directory.
  var absolute: DataSource {
    switch self {
    case .idx(let name, let directory):
      .idx(name: name, directory: absolutePath(directory))
    case .cifar10(let directory): .cifar10(directory: absolutePath(directory))
    case .fashionMNISTMini, .synthetic: self
    }
  }
}

/// A path from the root, without `.` and `..`.
func absolutePath(_ path: String) -> String {
  URL(fileURLWithPath: path).standardizedFileURL.path
}
