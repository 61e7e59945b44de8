import EspalierNN
import Foundation
import Testing

@testable import Espalier

/// The folder of files of older systems; see its ORIGIN.md.
let fixtures = "\(#filePath)".replacing("ArchitectureTests.swift", with: "Fixtures/")

@Suite struct ArchitectureTests {
  /// The space of nas-methods.md 7.1, and a choice of one unnamed input.
  static let space = [
    ChoiceDescription(key: "L", kind: .layer, candidateNames: ["a", "b", "c"]),
    ChoiceDescription(key: "I", kind: .input, candidateNames: ["k0", "k1", "k2"]),
    ChoiceDescription(key: "N", kind: .layer, candidateNames: ["0", "1", "2"]),
    ChoiceDescription(key: "S", kind: .input, candidateNames: [""]),
  ]

  typealias Choices = [String: ResolvedChoice]

  func resolved(_ json: String, space: [ChoiceDescription] = space) throws -> Choices {
    try Architecture(parsing: Array(json.utf8), source: "f.json").resolved(against: space)
  }

  /// Resolves one choice with harmless values for the others.
  func choice(_ key: String, _ value: String) throws -> ResolvedChoice? {
    let others = Self.space.map(\.key).filter { $0 != key }.map { "\"\($0)\": []" }
    let text = "{\"\(key)\": \(value), \(others.joined(separator: ", "))}"
    return try resolved(text)[key]
  }

  @Test(
    arguments: [
      ("L", "\"b\"", [1]), ("L", "1", [1]), ("L", "[\"b\"]", [1]), ("L", "[1]", [1]),
      ("L", "[false, true, false]", [1]), ("L", "1.0", [1]), ("L", "[]", []),
      ("L", "[[false, true, false]]", [1]), ("L", "[1, 0]", [0, 1]),
      ("L", "[\"c\", \"a\"]", [0, 2]),
      ("L", "\"2\"", [2]), ("N", "1", [1]), ("N", "\"1\"", [1]), ("N", "[\"2\", \"0\"]", [0, 2]),
      ("I", "[\"k0\", \"k2\"]", [0, 2]), ("I", "[0, 2]", [0, 2]),
      ("I", "[true, false, true]", [0, 2]),
      ("I", "[]", []), ("I", "\"k1\"", [1]), ("S", "\"\"", [0]), ("S", "[]", []),
      ("S", "true", [0]),
      ("S", "false", []), ("S", "[true]", [0]),
    ] as [(String, String, [Int])]) func understands(key: String, value: String, active: [Int])
    throws
  {
    #expect(try choice(key, value) == ResolvedChoice(active: active))
  }

  @Test func floatsOfFullLengthAreSoft() throws {
    let soft = try choice("L", "[0.2, 0.3, 0.5]")
    #expect(soft?.weights == [0.2, 0.3, 0.5] && soft?.active == [0, 1, 2])
    let sparse = try choice("L", "[0.0, 0.75, 0.25]")
    #expect(sparse?.weights == [0, 0.75, 0.25] && sparse?.active == [1, 2])
    #expect(try choice("L", "[0, 0.5, 0.5]")?.active == [1, 2])
    #expect(try choice("L", "[[0.2, 0.3, 0.5]]")?.weights == [0.2, 0.3, 0.5])
  }

  @Test(arguments: [
    ("L", "[0, 1, 0]", "[false, true, false]"), ("L", "[true, false]", "2 booleans"),
    ("L", "[1.0, 0.0]", "2 weights"), ("L", "[1.0]", "1 weights"), ("L", "\"zzz\"", "unknown"),
    ("L", "7", "out of range"), ("L", "-1", "out of range"), ("L", "\"7\"", "out of range"),
    ("L", "[0, 3]", "out of range"), ("L", "null", "no name"), ("L", "[null]", "no name"),
    ("L", "0.5", "no name"), ("L", "{}", "no name"), ("L", "{\"_value\": \"b\"}", "no name"),
    ("L", "[true, 1, 0]", "no name"), ("L", "[\"a\", 1]", "no name"), ("L", "true", "1 booleans"),
    ("L", "[[true, false]]", "2 booleans"), ("L", "[[0, 1, 0]]", "no name"),
    ("L", "[[\"a\"]]", "no name"), ("L", "[[]]", "no name"), ("L", "[[true], [false]]", "no name"),
    ("L", "[\"b\", \"b\"]", "twice"), ("L", "[2, 2]", "twice"), ("L", "\"\"", "unknown"),
    ("L", "[\"a\", \"zzz\"]", "unknown"), ("L", "[true, false, true, false]", "4 booleans"),
    ("N", "\"3\"", "unknown"), ("N", "3", "out of range"), ("I", "\"k9\"", "did you mean 'k0'"),
    ("L", "9223372036854775807", "out of range"),
  ]) func refuses(key: String, value: String, text: String) throws {
    let error = #expect(throws: ArchitectureError.self) { try choice(key, value) }
    let line = error.map { "\($0)" } ?? ""
    #expect(line.hasPrefix("f.json: key '\(key)': "), "\(line)")
    #expect(line.contains(text) && !line.contains("\n"), "\(line)")
    let valid = Self.space.first { $0.key == key }?.candidateNames ?? []
    #expect(line.hasSuffix("; valid: \(valid.joined(separator: ", "))"), "\(line)")
  }

  @Test func namesStayWithTheirCandidates() throws {
    // What is left of a list of three without its second.
    let space = [ChoiceDescription(key: "N", kind: .layer, candidateNames: ["0", "2"])]
    #expect(try resolved("{\"N\": \"2\"}", space: space)["N"]?.active == [1])
    #expect(try resolved("{\"N\": 1}", space: space)["N"]?.active == [1])
    #expect(throws: ArchitectureError.self) { try resolved("{\"N\": \"1\"}", space: space) }
    #expect(throws: ArchitectureError.self) { try resolved("{\"N\": 2}", space: space) }
  }

  @Test func repeatedNamesNeedAnIndex() throws {
    let space = [ChoiceDescription(key: "I", kind: .input, candidateNames: ["", ""])]
    #expect(throws: ArchitectureError.self) { try resolved("{\"I\": \"\"}", space: space) }
    #expect(try resolved("{\"I\": 1}", space: space)["I"]?.active == [1])
    #expect(space[0].exported(ResolvedChoice(active: [1])) == .index(1))
  }

  @Test func countsMustFit() throws {
    let space = [
      ChoiceDescription(
        key: "I", kind: .input, candidateNames: ["a", "b", "c"], chosenCount: 2)
    ]
    #expect(try resolved("{\"I\": [0, 2]}", space: space)["I"]?.active == [0, 2])
    #expect(try resolved("{\"I\": []}", space: space)["I"]?.active == [])
    #expect(throws: ArchitectureError.self) { try resolved("{\"I\": 0}", space: space) }
    #expect(throws: ArchitectureError.self) { try resolved("{\"I\": [0, 1, 2]}", space: space) }
  }

  @Test func keysMustBeThoseOfTheSpace() throws {
    let first = try resolved(#"{"L": 1, "I": [0], "N": 2, "S": ""}"#)
    #expect(try resolved(#"{"S": "", "N": 2, "I": [0], "L": 1}"#) == first)
    let error = #expect(throws: ArchitectureError.self) {
      try resolved(#"{"L": 1, "I": [0], "NN": 2, "other": 1}"#)
    }
    #expect(
      error
        == .keys(
          file: "f.json", missing: ["N", "S"], unexpected: ["NN", "other"], nearest: ["NN": "N"]))
    #expect(
      error?.description
        == "f.json: missing keys: N, S; unexpected keys: NN (did you mean N?), other")
    #expect(throws: ArchitectureError.self) { try resolved(#"{"L": 1, "I": [0], "N": 2}"#) }
    #expect(throws: ArchitectureError.self) {
      try resolved(#"{"L": 1, "I": [0], "N": 2, "S": [], "LayerChoice1": 0}"#)
    }
    let strange = #expect(throws: ArchitectureError.self) {
      try resolved(#"{"a\nb\u001b": 1}"#)
    }
    #expect(strange.map { "\($0)".contains("unexpected keys: a?b?") } == true)
    for text in ["[]", "1", "null", "\"x\"", "", "{", "{\"L\":1,\"L\":2}", "Genotype", "|"] {
      let error = #expect(throws: ArchitectureError.self, "\(text)") { try resolved(text) }
      #expect(error.map { "\($0)".hasPrefix("f.json: ") } == true)
    }
  }

  @Test func automaticKeysMatchInOrder() throws {
    let space = [
      ChoiceDescription(key: "stem", kind: .layer, candidateNames: ["a", "b"]),
      ChoiceDescription(key: "skip", kind: .input, candidateNames: ["x", "y"]),
      ChoiceDescription(key: "head", kind: .layer, candidateNames: ["c", "d"]),
    ]
    // Numbers order them, not the file; the counter may have started anywhere.
    let choices = try resolved(
      #"{"LayerChoice10": "d", "InputChoice9": ["x", "y"], "LayerChoice2": "b"}"#, space: space)
    #expect(choices["stem"]?.active == [1])
    #expect(choices["skip"]?.active == [0, 1])
    #expect(choices["head"]?.active == [1])
    // Keys of the space keep their choices.
    let mixed = try resolved(
      #"{"skip": "y", "LayerChoice3": "a", "LayerChoice4": "d"}"#, space: space)
    #expect(mixed["skip"]?.active == [1] && mixed["head"]?.active == [1])
    for text in [
      #"{"LayerChoice1": "a", "LayerChoice2": "a", "InputChoice3": "x"}"#,
      #"{"LayerChoice1": "a", "InputChoice2": "x"}"#,
      #"{"LayerChoice1": "a", "InputChoice2": "x", "LayerChoice3": "c", "LayerChoice4": "c"}"#,
      #"{"LayerChoice1": "a", "InputChoice1": "x", "LayerChoice3": "c"}"#,
    ] {
      let error = #expect(throws: ArchitectureError.self) { try resolved(text, space: space) }
      #expect(error.map { "\($0)".contains("automatic keys") } == true)
    }
    // The error of a value names the key of the file.
    let error = #expect(throws: ArchitectureError.self) {
      try resolved(
        #"{"LayerChoice1": "z", "InputChoice2": "x", "LayerChoice3": "c"}"#, space: space)
    }
    #expect(error.map { "\($0)".contains("'LayerChoice1'") } == true)
    // A shifted counter hits keys of a space that has automatic keys itself.
    let automatic = (1...3).map {
      ChoiceDescription(key: "LayerChoice\($0)", kind: .layer, candidateNames: ["a", "b", "c"])
    }
    let shifted = try resolved(
      #"{"LayerChoice2": "a", "LayerChoice3": "b", "LayerChoice4": "c"}"#, space: automatic)
    #expect((1...3).map { shifted["LayerChoice\($0)"]?.active } == [[0], [1], [2]])
  }

  @Test func readsRealFilesWithAutomaticKeys() throws {
    let space = (1...20).map {
      ChoiceDescription(
        key: "block\($0)", kind: .layer, candidateNames: ["k3", "k5", "k7", "xception"])
    }
    // The architecture that megvii released.
    let expected = [2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3]
    for name in ["nni1.9_spos_architecture_final.json", "spos_architecture_final_v2.json"] {
      let choices = try Architecture(contentsOf: fixtures + name).resolved(against: space)
      #expect((1...20).map { choices["block\($0)"]?.active } == expected.map { [$0] })
    }
  }

  @Test func exportsNamesWherePossible() throws {
    let choices: [String: ResolvedChoice] = [
      "L": .init(active: [2, 0]), "I": .init(active: []), "N": .init(active: [1]),
      "S": .init(active: [0]),
    ]
    let architecture = Architecture(choices, in: Self.space)
    let text = """
      {
        "I": [],
        "L": [
          "a",
          "c"
        ],
        "N": 1,
        "S": 0
      }

      """
    #expect(architecture.jsonText == text)
    #expect(try resolved(text) == choices)
    // As NNI writes an input without a name.
    #expect(try choice("S", "\"\"") == choices["S"])
    let soft = Architecture(
      choices.merging(["L": .init(weights: [0.25, 0, 0.75])]) { $1 }, in: Self.space)
    #expect(soft["L"] == .weights([0.25, 0, 0.75]))
    #expect(try resolved(soft.jsonText)["L"] == ResolvedChoice(weights: [0.25, 0, 0.75]))
    #expect(Architecture(choices, in: Self.space.reversed()).jsonText == text)
  }

  @Test func writesAndReadsFiles() throws {
    let path = NSTemporaryDirectory() + "/espalier-architecture-\(UUID().uuidString).json"
    defer { unlink(path) }
    let architecture: Architecture = ["b": .index(1), "a": .names(["x", "y"])]
    try architecture.write(to: path)
    #expect(try Architecture(contentsOf: path) == architecture)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == architecture.jsonText)
    for path in ["/absent/a.json", "/dev/zero", NSTemporaryDirectory()] {
      let error = #expect(throws: ArchitectureError.self) { try Architecture(contentsOf: path) }
      #expect(error.map { "\($0)".hasPrefix(path) } == true)
    }
    #expect(throws: ArchitectureError.self) { try architecture.write(to: "/absent/a.json") }
  }

  @Test func readsNASBench201Strings() throws {
    let text =
      "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    let architecture = try Architecture(parsing: Array(" \(text)\n".utf8), source: "s")
    #expect(
      architecture == [
        "0_1": .name("nor_conv_3x3"), "0_2": .name("none"), "1_2": .name("skip_connect"),
        "0_3": .name("avg_pool_3x3"), "1_3": .name("nor_conv_1x1"), "2_3": .name("none"),
      ])
    #expect(architecture.nasBench201Text == text)
    #expect(try Architecture(parsing: Array("\"\(text)\"".utf8), source: "s") == architecture)
    let nni = try Architecture(contentsOf: fixtures + "nasbench201_fixed_architecture.json")
    #expect(
      nni.nasBench201Text
        == "|avg_pool_3x3~0|+|conv_1x1~0|skip_connect~1|+"
        + "|conv_1x1~0|skip_connect~1|skip_connect~2|")
    #expect((["0_1": .index(1)] as Architecture).nasBench201Text == nil)
    #expect((["0_2": .name("x"), "1_2": .name("y")] as Architecture).nasBench201Text == nil)
    for bad in [
      "|a~0", "|a~1|", "|a~0|+", "|a~0|b~1|", "|a~0|+|b~0|", "|a~0|+|b~1|c~0|", "|~0|", "||",
      "|a~0||", "|a~0|x|b~0|c~1|", "|a~0~0|", "|a|",
    ] {
      let error = #expect(throws: ArchitectureError.self, "\(bad)") {
        try Architecture(parsing: Array(bad.utf8), source: "s")
      }
      #expect(error.map { "\($0)".hasPrefix("s: column ") } == true)
    }
  }

  @Test func survivesDamage() throws {
    let text = Array(
      #"{"L": ["a", "b"], "I": [true, false, true], "N": "1", "S": [[0.5]]}"#.utf8)
    for position in text.indices {
      for bit in 0..<8 {
        var damaged = text
        damaged[position] ^= 1 << bit
        _ = try? Architecture(parsing: damaged, source: "f").resolved(against: Self.space)
      }
    }
  }
}
