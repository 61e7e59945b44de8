import Espalier
import Foundation

/// The fields of a run's `config.json` as text: from flags, from a file, or from both.
struct RunFields: Equatable {
  private var texts: [String: String] = [:]
  /// What `--set` gave.
  var settings: [String: String] = [:]

  subscript(name: String) -> String? {
    get { texts[name] }
    set { texts[name] = newValue }
  }

  init() {}

  /// Fields with settings alone, each `key=value`.
  init(settings list: [String]) throws(UsageError) {
    for setting in list {
      let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw UsageError("--set \(setting): expected key=value")
      }
      let (key, value) = (String(parts[0]), String(parts[1]))
      if let earlier = settings[key], earlier != value {
        throw UsageError("--set \(key) is given twice, as \(earlier) and \(value)")
      }
      settings[key] = value
    }
  }

  /// The fields of a configuration.
  init(_ object: JSONObject) {
    func text(_ value: JSONValue?) -> String? {
      switch value {
      case .string(let text)?: text
      case .integer(let number)?: "\(number)"
      case .number(let number)?: "\(number)"
      case .bool(let value)?: "\(value)"
      default: nil
      }
    }
    for key in object.keys { texts[key] = text(object[key]) }
    if case .object(let values)? = object["settings"] {
      for key in values.keys { settings[key] = text(values[key]) }
    }
  }

  /// Reads a configuration file.
  init(file path: String) throws(UsageError) {
    self.init(try InputFile.object(of: path, expected: "a run's config.json"))
  }

  /// These fields, and those of `base` that are not given here.
  func over(_ base: RunFields) -> RunFields {
    var result = base
    result.texts.merge(texts) { $1 }
    result.settings.merge(settings) { $1 }
    return result
  }

  /// Throws where a field given here is another one in the run at `path`.
  func requireAgreement(with run: RunFields, at path: String) throws(UsageError) {
    for (name, value) in texts.sorted(by: { $0.key < $1.key }) {
      guard run.texts[name] != value else { continue }
      let flag = "--" + name.replacing("_", with: "-")
      let earlier = run.texts[name].map { "with \(flag) \($0), not \(value)" }
      throw UsageError(
        "\(path) was made \(earlier ?? "without \(flag)"); leave the flag out to go on")
    }
    for (name, value) in settings.sorted(by: { $0.key < $1.key }) {
      guard run.settings[name] != value else { continue }
      let earlier = run.settings[name].map { "\(name)=\($0)" } ?? "the default \(name)"
      throw UsageError("\(path) was made with \(earlier), not \(name)=\(value)")
    }
  }

  /// What of another verb's run is of use here.
  func carried(to verb: String) -> RunFields {
    guard self["verb"] != verb else { return self }
    var result = self
    result.texts = texts.filter { ["space", "data", "device", "seed"].contains($0.key) }
    // Counts training images there and test images here.
    if verb == "evaluate" { result.settings["images"] = nil }
    return result
  }

  /// The fields as JSON; whole numbers and truth values as such.
  var json: JSONObject {
    var object = JSONObject()
    for (key, value) in texts {
      object[key] =
        switch value {
        case "true": .bool(true)
        case "false": .bool(false)
        default: Int(value).map { .integer($0) } ?? .string(value)
        }
    }
    var values = JSONObject()
    for (key, value) in settings { values[key] = .string(value) }
    object["settings"] = .object(values)
    return object
  }
}

extension RunFields {
  /// A whole number of a range.
  func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>)
    throws(UsageError) -> Int
  {
    guard let text = texts[name] else { return fallback }
    guard let value = Int(text), range.contains(value) else {
      throw UsageError(
        "--\(name.replacing("_", with: "-")) \(text): expected a whole number from "
          + "\(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// The seed.
  func seed() throws(UsageError) -> UInt64 {
    guard let text = texts["seed"] else { return 0 }
    guard let value = UInt64(text) else {
      throw UsageError("--seed \(text): expected a whole number from 0 to \(UInt64.max)")
    }
    return value
  }

  /// A field that must be there.
  func required(_ name: String, valid: [String]) throws(UsageError) -> String {
    if let text = texts[name] { return text }
    let choices = valid.isEmpty ? "" : "; valid: \(valid.joined(separator: ", "))"
    throw UsageError("--\(name) is missing\(choices)")
  }
}
