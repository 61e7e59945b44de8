import EspalierNN
import Testing

@Suite struct JSONValueTests {
  @Test func keepsKindsApart() throws {
    let value = try JSONValue(
      parsing: #" {"a": [1, 1.0, -0, 1e2, true, false, null, "x"], "b": {}, "c": []} "#)
    #expect(
      value
        == .object([
          "a": .array([
            .integer(1), .number(1), .integer(0), .number(100), .bool(true), .bool(false), .null,
            .string("x"),
          ]),
          "b": .object([:]), "c": .array([]),
        ]))
    #expect(try JSONValue(parsing: "1") != JSONValue(parsing: "1.0"))
    #expect(try JSONValue(parsing: "1") != JSONValue(parsing: "true"))
    #expect(
      try JSONValue(parsing: #""\u0041\ud83d\ude00\"\\\/\b\f\n\r\t é""#)
        == .string("A😀\"\\/\u{8}\u{C}\n\r\t é"))
    #expect(try JSONValue(parsing: [0xEF, 0xBB, 0xBF] + Array("1".utf8)) == .integer(1))
    #expect(try JSONValue(parsing: "9223372036854775807") == .integer(.max))
  }

  @Test(arguments: [
    "", " ", "{", "}", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "[1 2]", "01", "-", "1.", ".5",
    "1e", "+1", "NaN", "Infinity", "-Infinity", "1e999", "9223372036854775808", "tru", "nul",
    "\"", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
    "\"\\udc00\"", "\"\n\"", "1 1", "[1]]", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}",
    "'a'", "[1,,2]", "// x\n1", "{\"a\":}",
  ]) func refuses(text: String) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
  }

  @Test func saysWhere() throws {
    let error = #expect(throws: JSONError.self) {
      try JSONValue(parsing: "{\n  \"é\": 1,\n  \"b\": [0, {\"ü\": x}]\n}")
    }
    #expect(error?.line == 3 && error?.column == 18 && error?.path == "$.b[1].ü")
    #expect(error?.description == "line 3, column 18, at $.b[1].ü: found 'x', expected a value")
    let twice = #expect(throws: JSONError.self) { try JSONValue(parsing: "{\"a\":1,\n \"a\":2}") }
    #expect(twice?.line == 2 && twice?.column == 2)
    #expect(twice?.message.contains("\"a\" appears twice") == true)
  }

  @Test func limitsDepthSizeAndCount() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try JSONValue(parsing: nested(64))
    #expect(throws: JSONError.self) { try JSONValue(parsing: nested(65)) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: nested(100_000)) }
    let objects = String(repeating: "{\"a\":", count: 70)
    #expect(throws: JSONError.self) { try JSONValue(parsing: objects) }
    #expect(throws: JSONError.self) {
      try JSONValue(parsing: [UInt8](repeating: 0x20, count: 16 << 20 + 1))
    }
    #expect(throws: JSONError.self) { try JSONValue(parsing: Array("[1,2]".utf8), largestCount: 2) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xC0, 0x80, 0x22]) }
  }

  @Test func writesTheSameBytesForTheSameValue() throws {
    let value: JSONValue = .object([
      "b": .array([.integer(1), .number(0.5), .array([])]), "a": .string("\"\n\u{1}é"),
      "B": .object([:]), "é": .null,
    ])
    let text = """
      {
        "B": {},
        "a": "\\"\\n\\u0001é",
        "b": [
          1,
          0.5,
          []
        ],
        "é": null
      }

      """
    #expect(value.indentedText == text)
    #expect(try JSONValue(parsing: text) == value)
    #expect(try JSONValue(parsing: text).indentedText == text)
    #expect(value.compactText == #"{"B": {}, "a": "\"\n\u0001é", "b": [1, 0.5, []], "é": null}"#)
    for number in [0.1, 1e-7, 1e300, .leastNonzeroMagnitude, -2.5, 1, 1e16, 123456789.125] {
      #expect(try JSONValue(parsing: JSONValue.number(number).compactText) == .number(number))
    }
  }

  @Test func survivesDamage() {
    let text = Array(#"{"a": [1, -2.5e3, true, null, "x\u00e9\n"], "b": {"c": []}}"#.utf8)
    for position in text.indices {
      _ = try? JSONValue(parsing: Array(text[..<position]))
      for bit in 0..<8 {
        var damaged = text
        damaged[position] ^= 1 << bit
        _ = try? JSONValue(parsing: damaged)
      }
    }
  }
}
