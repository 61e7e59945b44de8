/// Where and why a text is not the JSON that is read here.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The line from 1.
  public let line: Int
  /// The column from 1, in characters of Unicode.
  public let column: Int
  /// The place in the value, like `$.cells[2]`.
  public let path: String
  /// What was found or expected.
  public let message: String

  /// One line: line, column, place and message.
  public var description: String {
    "line \(line), column \(column), at \(path): \(message)".onOneLine
  }
}

extension JSONValue {
  /// Reads a text strictly: RFC 8259 without duplicate keys, at most 64 levels deep, all numbers
  /// finite, integers within 64 bits.
  ///
  /// - Parameters:
  ///   - bytes: The text in UTF-8.
  ///   - largestSize: The bytes that are read at most; 16 MiB by default.
  ///   - largestCount: The values that are read at most.
  public init(
    parsing bytes: [UInt8], largestSize: Int = 16 << 20, largestCount: Int = 1_000_000
  ) throws(JSONError) {
    var parser = JSONParser(bytes: bytes, largestCount: largestCount)
    guard bytes.count <= largestSize else {
      throw parser.error("\(bytes.count) bytes, at most \(largestSize) are read")
    }
    self = try parser.parse()
  }

  /// Reads a text strictly.
  public init(parsing text: String) throws(JSONError) {
    try self.init(parsing: Array(text.utf8))
  }
}

private struct JSONParser {
  static let largestDepth = 64

  /// One step of the path to the value being read.
  enum Step {
    case key(String)
    case index(Int)
  }

  let bytes: [UInt8]
  let largestCount: Int
  var position = 0
  var path: [Step] = []
  var count = 0

  init(bytes: [UInt8], largestCount: Int) {
    self.bytes = bytes
    self.largestCount = largestCount
  }

  mutating func parse() throws(JSONError) -> JSONValue {
    // A byte order mark, as some editors write.
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    let value = try readValue()
    skipSpace()
    guard position == bytes.count else { throw unexpected("the end") }
    return value
  }

  private mutating func readValue() throws(JSONError) -> JSONValue {
    skipSpace()
    count += 1
    guard count <= largestCount else { throw error("more than \(largestCount) values") }
    guard position < bytes.count else { throw unexpected("a value") }
    switch bytes[position] {
    case UInt8(ascii: "{"): return .object(try readObject())
    case UInt8(ascii: "["): return .array(try readArray())
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try readNumber()
    default:
      for (word, value): (String, JSONValue) in [
        ("true", .bool(true)), ("false", .bool(false)), ("null", .null),
      ] where bytes[position...].starts(with: word.utf8) {
        position += word.utf8.count
        return value
      }
      throw unexpected("a value")
    }
  }

  private mutating func readObject() throws(JSONError) -> JSONObject {
    try enter()
    var object = JSONObject()
    skipSpace()
    if take("}") { return object }
    repeat {
      skipSpace()
      guard peek() == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
      let start = position
      let key = try readString()
      guard object[key] == nil else {
        throw error("key \"\(key.prefix(60))\" appears twice", at: start)
      }
      skipSpace()
      guard take(":") else { throw unexpected("':'") }
      path.append(.key(key))
      object[key] = try readValue()
      path.removeLast()
      skipSpace()
    } while take(",")
    guard take("}") else { throw unexpected("',' or '}'") }
    return object
  }

  private mutating func readArray() throws(JSONError) -> [JSONValue] {
    try enter()
    var values: [JSONValue] = []
    skipSpace()
    if take("]") { return values }
    repeat {
      path.append(.index(values.count))
      values.append(try readValue())
      path.removeLast()
      skipSpace()
    } while take(",")
    guard take("]") else { throw unexpected("',' or ']'") }
    return values
  }

  private mutating func enter() throws(JSONError) {
    // Every list or mapping but the outermost adds one step.
    guard path.count < JSONParser.largestDepth else {
      throw error("more than \(JSONParser.largestDepth) levels")
    }
    position += 1
  }

  private mutating func readNumber() throws(JSONError) -> JSONValue {
    let start = position
    var isInteger = true
    _ = take("-")
    if !take("0") { try readDigits() }
    if take(".") {
      isInteger = false
      try readDigits()
    }
    if take("e") || take("E") {
      isInteger = false
      if !take("+") { _ = take("-") }
      try readDigits()
    }
    if let next = peek(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) {
      throw error("a number with a leading zero", at: start)
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger {
      guard let value = Int(text) else { throw error("an integer beyond 64 bits", at: start) }
      return .integer(value)
    }
    guard let value = Double(text), value.isFinite else {
      throw error("a number beyond the range of double precision", at: start)
    }
    return .number(value)
  }

  private mutating func readDigits() throws(JSONError) {
    let start = position
    while let byte = peek(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
      position += 1
    }
    guard position > start else { throw unexpected("a digit") }
  }

  private mutating func readString() throws(JSONError) -> String {
    let start = position
    position += 1
    var text: [UInt8] = []
    while true {
      guard let byte = peek() else { throw error("a text without closing quote", at: start) }
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        guard let valid = String(validating: text, as: UTF8.self) else {
          throw error("a text that is not UTF-8", at: start)
        }
        return valid
      case UInt8(ascii: "\\"):
        position += 1
        text += Array(String(Character(try readEscape())).utf8)
      case 0..<0x20:
        throw error("a control character in a text")
      default:
        text.append(byte)
        position += 1
      }
    }
  }

  private mutating func readEscape() throws(JSONError) -> Unicode.Scalar {
    guard let byte = peek() else { throw unexpected("an escape") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let first = try readHexadecimal()
      if let scalar = Unicode.Scalar(first) { return scalar }
      // Half of a pair: the other half must follow.
      guard first < 0xDC00, take("\\"), take("u") else { throw error("half a surrogate pair") }
      let second = try readHexadecimal()
      guard (0xDC00..<0xE000).contains(second),
        let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
      else { throw error("half a surrogate pair") }
      return scalar
    default:
      position -= 1
      throw unexpected("an escape")
    }
  }

  private mutating func readHexadecimal() throws(JSONError) -> UInt32 {
    let digits = bytes[position..<min(position + 4, bytes.count)]
    let text = String(decoding: digits, as: UTF8.self)
    guard digits.count == 4, text.allSatisfy(\.isHexDigit), let value = UInt32(text, radix: 16)
    else { throw unexpected("four hexadecimal digits") }
    position += 4
    return value
  }

  private mutating func skipSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private func unexpected(_ expected: String) -> JSONError {
    guard let byte = peek() else { return error("found the end, expected \(expected)") }
    let printable = (0x21..<0x7F).contains(byte)
    let found = printable ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
    return error("found \(found), expected \(expected)")
  }

  func error(_ message: String, at place: Int? = nil) -> JSONError {
    let before = bytes[..<(place ?? position)]
    let line = before.lazy.filter { $0 == 0x0A }.count + 1
    let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    // Bytes that continue a character do not count.
    let column = before[lineStart...].lazy.filter { $0 & 0xC0 != 0x80 }.count + 1
    var text = "$"
    for step in path {
      switch step {
      case .key(let key): text += ".\(key.prefix(60))"
      case .index(let index): text += "[\(index)]"
      }
    }
    return JSONError(line: line, column: column, path: text, message: message)
  }
}
