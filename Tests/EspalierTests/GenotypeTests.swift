import EspalierNN
import Foundation
import Testing

@testable import Espalier

@Suite struct GenotypeTests {
  /// DARTS_V2 as quark0/darts prints it.
  static let line =
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    + "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    + "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    + "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    + "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"

  /// The architecture of a fixture.
  func architecture(_ name: String) throws -> Architecture {
    try Architecture(contentsOf: fixtures + name)
  }

  @Test func printsWhatItReads() throws {
    let genotype = try Genotype(parsing: Self.line)
    #expect(genotype.description == Self.line)
    #expect(genotype.normal.edges.count == 8)
    #expect(genotype.normal.edges[5] == .init("skip_connect", 0))
    #expect(genotype.reduce.concatenated == [2, 3, 4, 5])
  }

  @Test func readsTheFreedomsOfPython() throws {
    let genotype = try Genotype(parsing: Self.line)
    let variants = [
      Self.line.replacing("range(2, 6)", with: "[2, 3, 4, 5]"),
      Self.line.replacing("range(2, 6)", with: "(2,3,4,5,)"),
      Self.line.replacing(", ", with: ",").replacing("'", with: "\""),
      Self.line.replacing(", ", with: " ,\n\t").replacing("=", with: " = "),
      "DARTS_V2 = " + Self.line + "\n",
      "  \r\n" + Self.line.dropLast() + ",)",
      Self.line.replacing("[(", with: "([").replacing(")]", with: "])")
        .replacing("), (", with: "], ["),
    ]
    for text in variants {
      #expect(try Genotype(parsing: text) == genotype, "\(text)")
    }
  }

  @Test func readsStages() throws {
    let genotype = try Genotype(parsing: Self.line)
    let bytes = try #require(
      FileManager.default.contents(atPath: fixtures + "cdarts_official_dartsv2_genotype.json"))
    let json = try JSONValue(parsing: [UInt8](bytes))
    #expect(try Genotype(stages: json, source: "c") == genotype)
    #expect(
      try architecture("cdarts_official_dartsv2_genotype.json") == genotype.architecture())
    // The last stage by number wins, unless another is asked for.
    let other = Self.line.replacing("dil_conv_3x3", with: "dil_conv_5x5")
    let stages: JSONValue = .object([
      "10": .string(other), "9": .string(Self.line), "2": .string(Self.line),
    ])
    #expect(try Genotype(stages: stages, source: "c")?.normal.edges[7].operation == "dil_conv_5x5")
    #expect(try Genotype(stages: stages, stage: "9", source: "c") == genotype)
    #expect(throws: ArchitectureError.self) {
      try Genotype(stages: stages, stage: "3", source: "c")
    }
    #expect(try Genotype(stages: .object(["0": .string("x")]), source: "c") == nil)
  }

  @Test func readsThePublishedCells() throws {
    let bytes = try #require(
      FileManager.default.contents(atPath: fixtures + "cnn_cell_genotypes.json"))
    guard case .object(let file) = try JSONValue(parsing: [UInt8](bytes)),
      case .object(let cells)? = file["genotypes"]
    else {
      Issue.record("not the file")
      return
    }
    #expect(cells.count == 10)
    for name in cells.keys {
      let entry = try #require(cells[name])
      let genotype = try #require(try Genotype(stages: entry, source: name))
      #expect(try Genotype(parsing: genotype.description) == genotype)
      // Five-node cells read a node twice or leave one out of the output; the keys cannot say so.
      let isExpressible = genotype.normal.nodeCount == 4
      if isExpressible {
        let architecture = try genotype.architecture()
        let back = try Architecture(
          parsing: Array(architecture.jsonText.utf8), source: name)
        #expect(back == architecture)
      } else {
        #expect(throws: ArchitectureError.self, "\(name)") { try genotype.architecture() }
      }
    }
    let second = try Genotype(stages: try #require(cells["DARTS_V2"]), source: "c")
    #expect(second?.description == Self.line)
  }

  /// NNI 1.6 with candidates in a list: integers count in NNI's order, without `none`.
  @Test func readsIntegersInNNIsOrder() throws {
    let genotype = try Genotype(architecture("junweisun_nni1.6_darts_epoch_46.json"))
    #expect(
      genotype.normal.edges.map(\.operation) == Array(repeating: "sep_conv_3x3", count: 8))
    #expect(genotype.normal.edges.map(\.predecessor) == [0, 1, 0, 1, 1, 2, 1, 2])
    #expect(
      genotype.reduce.edges == [
        .init("max_pool_3x3", 0), .init("sep_conv_3x3", 1), .init("max_pool_3x3", 0),
        .init("skip_connect", 2), .init("max_pool_3x3", 0), .init("skip_connect", 2),
        .init("skip_connect", 2), .init("skip_connect", 3),
      ])
  }

  @Test func readsNNIsNames() throws {
    let architecture = try architecture("garenwang_nni2.0_darts_final_named.json")
    let genotype = try Genotype(architecture)
    #expect(
      genotype.normal.edges == [
        .init("sep_conv_5x5", 0), .init("sep_conv_3x3", 1), .init("skip_connect", 0),
        .init("sep_conv_3x3", 1), .init("skip_connect", 0), .init("sep_conv_3x3", 1),
        .init("dil_conv_3x3", 0), .init("dil_conv_5x5", 1),
      ])
    // Exported again it has the official names.
    let space = DARTSNames.choices(nodes: 4)
    let exported = Architecture(try architecture.resolved(against: space), in: space)
    #expect(exported == (try genotype.architecture()))
    #expect(exported["normal_n2_p0"] == .name("sep_conv_5x5"))
    #expect(exported["normal_n3_p2"] == ChoiceValue.none)
    #expect(exported.keys.count == 36)
    let labels = try self.architecture("nni3_hub_darts_v2.json")
    #expect(labels == (try Genotype(parsing: Self.line).architecture()))
  }

  @Test func integersAndBooleansFollowTheOlderOrder() throws {
    let space = [DARTSNames.choices(nodes: 1)[0]]
    func active(_ value: ChoiceValue) throws -> [Int]? {
      try (["normal_n2_p0": value] as Architecture).resolved(against: space)["normal_n2_p0"]?.active
    }
    #expect(try active(.index(0)) == [1])
    #expect(try active(.index(6)) == [7])
    #expect(throws: ArchitectureError.self) { try active(.index(7)) }
    #expect(try active(.name("none")) == [0])
    #expect(try active(.name("maxpool")) == [1])
    #expect(try active(.indices([2])) == [3])
    // P-DARTS' lists of seven are in NNI's order, lists of eight in ours.
    #expect(try active(.multiHot([false, false, false, false, false, false, true])) == [7])
    #expect(try active(.multiHot([true] + Array(repeating: false, count: 7))) == [0])
    let error = #expect(throws: ArchitectureError.self) { try active(.name("sepconv")) }
    #expect(error.map { "\($0)".contains("max_pool_3x3") } == true)
  }

  @Test func switchesDecide() throws {
    var architecture = try Genotype(parsing: Self.line).architecture()
    // Retiarii leaves an operation on edges that are not chosen.
    architecture["normal_n5_p4"] = .name("maxpool")
    let genotype = try Genotype(architecture)
    #expect(genotype.normal.edges.suffix(2).map(\.predecessor) == [0, 2])
    architecture["normal_n5_p0"] = ChoiceValue.none
    #expect(throws: ArchitectureError.self) { try Genotype(architecture) }
    architecture["normal_n5_switch"] = ChoiceValue.none
    #expect(throws: ArchitectureError.self) { try Genotype(architecture) }
  }

  @Test(arguments: [
    "Genotype(", "Genotype()", "Genotype(normal=[])", "Genotype(normal=__import__('os'))",
    line + ")", String(line.dropLast()), line.replacing("'sep_conv_3x3', 1", with: "'x', 9"),
    line.replacing("normal_concat", with: "normal"), line.replacing("reduce=", with: "redux="),
    line.replacing("range(2, 6)", with: "range(2, 7)"),
    line.replacing("range(2, 6)", with: "range(0, 999999999)"),
    line.replacing("range(2, 6)", with: "range(6, 2)"),
    line.replacing("range(2, 6)", with: "[2, 2]"), line.replacing("range(2, 6)", with: "[]"),
    line.replacing("('sep_conv_3x3', 0), ", with: ""),
    line.replacing("('sep_conv_3x3', 0)", with: "('sep_conv_3x3', -1)"),
    line.replacing("'sep_conv_3x3'", with: "sep_conv_3x3"),
    line.replacing("('skip_connect', 2)", with: "('skip_connect', 99999999999999999999)"),
  ]) func refuses(text: String) {
    let error = #expect(throws: ArchitectureError.self) { try Genotype(parsing: text, source: "g") }
    #expect(error.map { "\($0)".hasPrefix("g: ") && !"\($0)".contains("\n") } == true)
  }

  @Test func survivesDamage() {
    let text = Array(Self.line.utf8)
    for position in text.indices {
      #expect(throws: ArchitectureError.self) {
        try Genotype(parsing: String(decoding: text[..<position], as: UTF8.self))
      }
      for bit in 0..<8 {
        var damaged = text
        damaged[position] ^= 1 << bit
        _ = try? Architecture(parsing: damaged, source: "g")
      }
    }
  }
}
