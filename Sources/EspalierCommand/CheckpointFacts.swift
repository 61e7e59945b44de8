import Espalier
import Foundation

/// What a checkpoint's metadata says about how its network is made.
struct CheckpointFacts {
  /// `search` or `retrain`.
  let kind: String
  let fields: RunFields
  let image: String
  let classes: String
  let dataSeed: UInt64?
  let architecture: Architecture?
  let checkpoint: Checkpoint
  let file: String

  /// Reads a checkpoint, or the one kept before it when it is damaged.
  init(_ path: String) throws {
    let loaded = try CheckpointFacts.withRemedy("name another checkpoint") {
      try Safetensors.loadNewest(at: path)
    }
    if let setback = loaded.setback { Console.note("\(setback); using \(loaded.file)") }
    checkpoint = Checkpoint(loaded.contents)
    file = loaded.file
    let metadata = loaded.contents.metadata
    guard let kind = metadata["kind"], let image = metadata["image"],
      let classes = metadata["classes"], let settings = metadata["settings"],
      case .object(let values)? = try? JSONValue(parsing: Array(settings.utf8))
    else {
      throw UsageError("\(file): does not say what network it holds; not one of espalier's")
    }
    (self.kind, self.image, self.classes) = (kind, image, classes)
    var fields = RunFields(["settings": .object(values)])
    for name in ["space", "seed", "batch"] { fields[name] = metadata[name] }
    self.fields = fields
    dataSeed = metadata["data_seed"].flatMap { UInt64($0) }
    architecture = try metadata["architecture"].map {
      try Architecture(parsing: Array($0.utf8), source: path)
    }
  }

  /// Runs `body`; where a checkpoint in it is damaged, says that no earlier one serves and what to do.
  static func withRemedy<R>(_ remedy: String, _ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch let error as CheckpointError {
      let file: String
      switch error {
      case .header(let name, _, _), .tensor(let name, _, _, _): file = name
      case .unreadable, .unwritable: throw error
      }
      let previous = Safetensors.previousPath(of: file)
      let isThere = FileManager.default.fileExists(atPath: previous)
      throw UsageError(
        "\(error); "
          + (isThere ? "\(previous) is damaged too" : "there is no earlier \(previous)")
          + "; \(remedy)")
    }
  }

  /// The fields given, completed by the checkpoint's; throws where they contradict it.
  ///
  /// - Parameter isNetworkOnly: Whether only the network's sizes are taken, not batch and seed.
  func complete(_ given: RunFields, isNetworkOnly: Bool) throws -> RunFields {
    let space = try SpaceCatalog.named(fields.required("space", valid: []))
    let names = Set(space.settings.map(\.name))
    var own = fields
    own.settings = fields.settings.filter {
      names.contains($0.key) || (!isNetworkOnly && $0.key == "test_images")
    }
    if isNetworkOnly { (own["seed"], own["batch"]) = (nil, nil) }
    var compared = RunFields()
    compared["space"] = given["space"]
    compared.settings = given.settings.filter { names.contains($0.key) }
    try compared.requireAgreement(with: own, at: file)
    return given.over(own)
  }

  /// Throws where the data's images are others than those of the checkpoint.
  func requireSameImages(_ task: WorkTask) throws(UsageError) {
    let found = task.image.text
    guard found == image, "\(task.classes)" == classes else {
      throw UsageError(
        "--data \(task.source): images \(found) of \(task.classes) classes, \(file) was made with "
          + "\(image) of \(classes)")
    }
  }

  /// The metadata of a run.
  static func metadata(
    kind: String, task: WorkTask, seed: UInt64, dataSeed: UInt64, batch: Int, epochs: Int,
    more: [String: String]
  ) -> [String: String] {
    var settings = JSONObject()
    for (key, value) in task.settings.texts { settings[key] = .string(value) }
    var result = [
      "kind": kind, "space": task.space.name, "image": task.image.text,
      "classes": "\(task.classes)", "settings": JSONValue.object(settings).compactText,
      "data": task.source.name, "seed": "\(seed)", "data_seed": "\(dataSeed)", "batch": "\(batch)",
      "epochs": "\(epochs)",
    ]
    result.merge(more) { $1 }
    return result
  }
}

extension ImageShape {
  /// `3x32x32`: channels, height, width.
  var text: String { "\(channels)x\(height)x\(width)" }
}
