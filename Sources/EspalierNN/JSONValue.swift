/// A JSON value with integers, other numbers and booleans kept apart.
///
/// Own code because Foundation's decoder keeps one of two equal keys silently, turns booleans into
/// numbers and says neither line nor column.
public enum JSONValue: Equatable, Sendable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A number without fraction and exponent.
  case integer(Int)
  /// A finite number with fraction or exponent.
  case number(Double)
  /// A text.
  case string(String)
  /// A list.
  case array([JSONValue])
  /// A mapping.
  case object(JSONObject)
}

/// A JSON mapping: distinct keys in the order in which they were read or added.
///
/// Two mappings are equal when they hold the same values, in whatever order.
public struct JSONObject: Sendable {
  /// The keys in order.
  public private(set) var keys: [String] = []
  private var values: [String: JSONValue] = [:]

  /// Creates an empty mapping.
  public init() {}

  /// The number of keys.
  public var count: Int { keys.count }

  /// The value of a key; setting nil removes it.
  public subscript(key: String) -> JSONValue? {
    get { values[key] }
    set {
      if values.updateValueIfPresent(newValue, forKey: key) {
        if newValue == nil { keys.removeAll { $0 == key } }
      } else if newValue != nil {
        keys.append(key)
      }
    }
  }
}

extension JSONObject: Equatable {
  /// Compares keys and values, not their order.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.values == right.values
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  /// Creates a mapping; the last of equal keys counts.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    for (key, value) in elements { self[key] = value }
  }
}

extension Dictionary {
  /// Sets or removes a value and tells whether the key was there before.
  fileprivate mutating func updateValueIfPresent(_ value: Value?, forKey key: Key) -> Bool {
    let wasPresent = self[key] != nil
    self[key] = value
    return wasPresent
  }
}

extension JSONValue {
  /// The value as text with two spaces of indentation, sorted keys and a line feed at the end: the
  /// same bytes for the same value.
  public var indentedText: String {
    var output = ""
    write(to: &output, indentation: 0)
    output += "\n"
    return output
  }

  /// The value on one line, with sorted keys and without a line feed.
  public var compactText: String {
    var output = ""
    write(to: &output, indentation: nil)
    return output
  }

  private func write(to output: inout String, indentation: Int?) {
    switch self {
    case .null: output += "null"
    case .bool(let value): output += value ? "true" : "false"
    case .integer(let value): output += String(value)
    case .number(let value):
      precondition(value.isFinite, "JSON has no \(value)")
      output += "\(value)"
    case .string(let value): JSONValue.write(value, to: &output)
    case .array(let values):
      JSONValue.writeList(values, "[", "]", to: &output, indentation) { value, output, inner in
        value.write(to: &output, indentation: inner)
      }
    case .object(let object):
      // By bytes: the order of strings in Swift depends on Unicode normalisation.
      let keys = object.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      JSONValue.writeList(keys, "{", "}", to: &output, indentation) { key, output, inner in
        JSONValue.write(key, to: &output)
        output += ": "
        object[key]?.write(to: &output, indentation: inner)
      }
    }
  }

  private static func writeList<Element>(
    _ elements: [Element], _ open: String, _ close: String, to output: inout String,
    _ indentation: Int?, element: (Element, inout String, Int?) -> Void
  ) {
    guard !elements.isEmpty else {
      output += open + close
      return
    }
    let inner = indentation.map { $0 + 2 }
    output += open
    for (i, value) in elements.enumerated() {
      if i > 0 { output += inner == nil ? ", " : "," }
      if let inner { output += "\n" + String(repeating: " ", count: inner) }
      element(value, &output, inner)
    }
    if let indentation { output += "\n" + String(repeating: " ", count: indentation) }
    output += close
  }

  private static func write(_ text: String, to output: inout String) {
    output += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": output += "\\\""
      case "\\": output += "\\\\"
      case "\n": output += "\\n"
      case "\r": output += "\\r"
      case "\t": output += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let digits = String(scalar.value, radix: 16)
        output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: output.unicodeScalars.append(scalar)
      }
    }
    output += "\""
  }
}

extension JSONValue {
  /// The number, whole or not; nil for anything else.
  public var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
}
