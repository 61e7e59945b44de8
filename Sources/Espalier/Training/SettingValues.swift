/// Settings by name, as text, as `--set` and a run's `config.json` give them.
public struct SettingValues: Sendable, Equatable {
  /// The text of each setting that was given.
  public var texts: [String: String]

  /// Settings from their texts.
  public init(_ texts: [String: String] = [:]) { self.texts = texts }

  /// A whole number by name; `fallback` where it was not given.
  /// - Throws: `SettingError` when it is none or outside `range`.
  public func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>)
    throws(SettingError) -> Int
  { try optionalInteger(name, in: range) ?? fallback }

  /// A whole number by name; nil where it was not given.
  public func optionalInteger(_ name: String, in range: ClosedRange<Int>) throws(SettingError)
    -> Int?
  {
    guard let text = texts[name] else { return nil }
    guard let value = Int(text), range.contains(value) else {
      let expected =
        range.upperBound == .max
        ? "a whole number, at least \(range.lowerBound)"
        : "a whole number from \(range.lowerBound) to \(range.upperBound)"
      throw SettingError(name: name, value: text, expected: expected)
    }
    return value
  }

  /// A finite number by name.
  public func number(_ name: String, default fallback: Double, in range: ClosedRange<Double>)
    throws(SettingError) -> Double
  {
    guard let text = texts[name] else { return fallback }
    guard let value = Double(text), range.contains(value) else {
      throw SettingError(
        name: name, value: text,
        expected: "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// `true` or `false` by name.
  public func flag(_ name: String, default fallback: Bool) throws(SettingError) -> Bool {
    guard let text = texts[name] else { return fallback }
    switch text {
    case "true", "yes", "1": return true
    case "false", "no", "0": return false
    default: throw SettingError(name: name, value: text, expected: "true or false")
    }
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

/// A setting or hyper-parameter, for lists, help and a run's configuration.
public struct SettingDescription: Sendable {
  /// Its name in `--set name=value`.
  public let name: String
  /// Its default as text.
  public let defaultValue: String
  /// Its default in retraining, where that is another one.
  public let retrainingDefault: String?
  /// Its default for colour images of at least 32 pixels, where that is another one.
  public let colourDefault: String?
  /// One line.
  public let summary: String

  /// A description.
  public init(
    _ name: String, _ defaultValue: String, retraining: String? = nil, colour: String? = nil,
    _ summary: String
  ) {
    self.name = name
    self.defaultValue = defaultValue
    retrainingDefault = retraining
    colourDefault = colour
    self.summary = summary
  }
}
