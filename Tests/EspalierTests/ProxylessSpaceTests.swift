import EspalierNN
import Foundation
import Testing

@testable import Espalier

@Suite("The proxyless space", .seededWeights)
struct ProxylessSpaceTests {
  private func network(_ values: [String: String]) throws -> any SpaceModel {
    try ProxylessSpace.definition.makeRetrainingNetwork(
      SpaceSettings(image: MobileGolden.imageNet, classes: 1000, values: values))
  }

  /// A network as its authors describe it.
  private func description(_ name: String) throws -> JSONObject {
    guard
      case .object(let networks) = try JSONValue(
        parsing: Array(bytes(fixtures + "proxyless_networks.json"))),
      case .object(let network)? = networks["proxyless_\(name.replacing("-", with: "_"))"]
    else { throw RunError("no \(name)") }
    return network
  }

  private func architecture(_ name: String) throws -> Architecture {
    let text = JSONValue.object(try description(name)).compactText
    return try Architecture(parsing: Array(text.utf8), source: name)
  }

  // Parameters as in the tables of osmr/imgclsmob, which converted the authors' weights; the 320 M
  // multiply-adds of the mobile network as in the README of mit-han-lab/proxylessnas.
  @Test(
    "The networks that the authors published cost what is published",
    arguments: [("mobile", 4_080_512), ("gpu", 7_119_848), ("cpu", 4_361_648)])
  func published(name: String, parameters: Int) throws {
    let net = try network(["widths": name])
    try net.apply(try architecture(name))
    let cost = ModelCost(of: net, image: MobileGolden.imageNet)
    #expect(cost.parameters == parameters)
    if name == "mobile" { #expect((Double(cost.multiplyAdds) / 1e6).rounded() == 320) }
    try MobileGolden.expectCost(net, name)
  }

  @Test(
    "Their widths are the published ones", arguments: ["mobile", "mobile-14", "gpu", "cpu"])
  func publishedWidths(name: String) throws {
    let network = try description(name)
    let widths = try #require(MobileWidths.proxyless.first { $0.name == name }?.widths)
    func number(_ json: JSONValue?, _ key: String) -> Int? {
      guard case .object(let object)? = json, case .integer(let value)? = object[key] else {
        return nil
      }
      return value
    }
    guard case .array(let blocks)? = network["blocks"] else { throw RunError("no blocks") }
    #expect(number(network["first_conv"], "out_channels") == widths.stem)
    #expect(number(network["feature_mix_layer"], "out_channels") == widths.head)
    let isFirst = blocks.filter { number($0, "in") != number($0, "out") }
    #expect(isFirst.map { number($0, "out") } == widths.stages)
  }

  @Test("NNI 3's labels mean the same blocks", arguments: ["mobile", "gpu", "cpu"])
  func labels(name: String) throws {
    let labelled = try Architecture(contentsOf: fixtures + "nni3_hub_proxyless_\(name).json")
    let described = try architecture(name)
    #expect(labelled.keys.sorted() == described.keys.sorted() && labelled.keys.count == 21)
    // A block left out may stand elsewhere in its stage.
    func blocks(_ architecture: Architecture, _ stage: Int) -> [ChoiceValue] {
      architecture.keys.filter { $0.hasPrefix("s\(stage)_") }.compactMap { architecture[$0] }
        .filter { $0 != .name("skip") }
    }
    for stage in 2...7 { #expect(blocks(labelled, stage) == blocks(described, stage)) }
  }

  @Test("The authors' own description of a block is read, and what is none is refused by place")
  func descriptions() throws {
    func block(_ text: String) throws -> Architecture {
      let first = #"{"name": "MobileInvertedResidualBlock"}"#
      return try Architecture(
        parsing: Array(#"{"name": "ProxylessNASNets", "blocks": [\#(first), \#(text)]}"#.utf8),
        source: "net.config")
    }
    let conv =
      #"{"mobile_inverted_conv": {"name": "MBInvertedConvLayer", "in_channels": 16, "#
      + #""out_channels": 24, "kernel_size": 5, "stride": 2, "expand_ratio": 6}, "shortcut": null}"#
    let zero = #"{"mobile_inverted_conv": {"name": "ZeroLayer", "stride": 1}, "shortcut": {}}"#
    let found = try block("\(conv), \(zero)")
    #expect(found.keys == ["s2_i0", "s2_i1"])
    #expect(found["s2_i0"] == .name("k5e6") && found["s2_i1"] == .name("skip"))
    let error = #expect(throws: ArchitectureError.self) { try block(#"{"kernel_size": 5}"#) }
    #expect("\(try #require(error))".contains("net.config: key 'blocks.1'"))
  }

  @Test("A depth that no stage can have is refused with those that it can", arguments: ["0", "5"])
  func depths(depth: String) {
    let error = #expect(throws: ArchitectureError.self) {
      try Architecture(parsing: Array(#"{"s2_depth": \#(depth)}"#.utf8), source: "a.json")
    }
    #expect(
      error?.description
        == "a.json: key 's2_depth': \(depth) is no number of blocks; valid: 1, 2, 3, 4")
  }

  @Test("FBNet-C has its published number of parameters")
  func fbnet() throws {
    let operations =
      "ir_k3_e1 ir_k3_e6 skip ir_k3_e1 ir_k3_e1 ir_k5_e6 ir_k5_e3 ir_k5_e6 ir_k3_e6 ir_k5_e6 "
      + "ir_k5_e3 ir_k5_e6 ir_k5_e6 ir_k5_e6 ir_k5_e6 ir_k5_e6 ir_k5_e3 ir_k5_e6 ir_k5_e6 ir_k5_e6 "
      + "ir_k5_e6 ir_k3_e6"
    let net = try network(["blocks": "fbnet"])
    try apply(net, operations)
    // In the tables of osmr/imgclsmob.
    #expect(net.parameterCount == 5_572_200)
    try MobileGolden.expectCost(net, "fbnet-c")
  }

  @Test("Every kind of ProxylessNAS' blocks gives PyTorch's output for the same weights")
  func blocksAgree() throws {
    var configuration = ProxylessSpace.Configuration()
    configuration.cells = 2
    configuration.widths = MobileWidths(stem: 8, stages: [8, 16, 24, 32, 40, 48, 56], head: 64)
    let net = ProxylessSpace(image: MobileGolden.small, classes: 5, configuration: configuration)
    try apply(net, "k5e3 skip k7e6 k3e3 k3e6 k5e6 k7e3 skip k5e3 k7e3 k3e3")
    try MobileGolden.expectOutput(net, "proxyless")
  }

  @Test("So does every kind of FBNet's")
  func fbnetBlocksAgree() throws {
    var configuration = ProxylessSpace.Configuration()
    (configuration.blocks, configuration.cells) = (.fbnet, 2)
    configuration.widths = MobileWidths(stem: 8, stages: [8, 16, 24, 32, 40, 48, 56], head: 64)
    let net = ProxylessSpace(image: MobileGolden.small, classes: 5, configuration: configuration)
    try apply(
      net,
      "k5_e1_g2 skip skip k3_e1_g2 k3_e1 k5_e3 k5_e6 k3_e6 k5_e1 skip k3_e3 k5_e1_g2")
    try MobileGolden.expectOutput(net, "fbnet")
  }

  /// Applies a choice a layer, in order.
  private func apply(_ net: any SpaceModel, _ names: String) throws {
    let choices = net.namedModules.compactMap { ($0.module as? LayerChoice)?.explicitKey }
    let names = names.split(separator: " ")
    #expect(choices.count == names.count)
    var architecture = Architecture()
    for (key, name) in zip(choices, names) { architecture[key] = .name(String(name)) }
    try net.apply(architecture)
  }

  @Test("Candidates are the authors', skip only where the shape allows it, and can be mixed")
  func candidates() throws {
    func open(_ values: [String: String]) throws -> SearchSpace {
      func open(_ net: some Layer) throws -> SearchSpace {
        try SearchSpace(of: net, input: [3, 224, 224])
      }
      return try open(try network(values.merging(["channels": "4"]) { first, _ in first }))
    }
    let blocks = ["k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6"]
    let space = try open(["cells": "4"])
    #expect(space.choices.count == 21)
    #expect(space.mismatches.isEmpty)
    // At the search network's widths each stage but the first begins with another width or size.
    let full = try #require(space.choices.first { $0.key == "s3_i1" })
    #expect(full.candidateNames == blocks + ["skip"])
    #expect(space.choices[0].candidateNames == blocks)
    let fbnet = try open(["blocks": "fbnet"])
    #expect(fbnet.choices.count == 22 && fbnet.mismatches.isEmpty)
    #expect(fbnet.choices.allSatisfy { $0.candidateNames.count == 9 })
    // Benchmarks of this space count the candidates in this order.
    #expect(fbnet.choices[0].candidateNames.firstIndex(of: "k3_e1_g2") == 1)
    #expect(fbnet.choices[0].candidateNames.firstIndex(of: "skip") == 8)
  }

  /// FBNet's blocks, and identities between ProxylessNAS' blocks, which one block a stage lacks.
  private static let small: [[String: String]] = [
    ["blocks": "fbnet", "channels": "4", "cells": "2"], ["channels": "4", "cells": "2"],
  ]

  private static func supernet(_ values: [String: String]) throws -> any SpaceModel {
    try ProxylessSpace.definition.makeSupernet(
      SpaceSettings(image: SpaceContractTests.grey, classes: 3, values: values))
  }

  @Test("Plans agree where blocks can be skipped", arguments: small.filter { $0["blocks"] == nil })
  func plans(values: [String: String]) throws {
    let agreement = PlanAgreementTests()
    let make: () -> any SpaceModel = {
      guard let net = try? Self.supernet(values) else { preconditionFailure("\(values)") }
      return net
    }
    try agreement.expectAgreement(
      make, image: SpaceContractTests.grey, decisions: agreement.mixture)
  }

  @Test("And 50 sampled steps plan nothing after the rehearsal", arguments: small)
  func steady(values: [String: String]) async {
    await #expect(processExitsWith: .success) { [values] in
      let net = try ProxylessSpaceTests.supernet(values)
      try SpaceContractTests.expectSteadyState(net)
    }
  }

  @Test("Widths scale as the authors' do: by a factor of 1.4, and never to less than 8")
  func widths() {
    #expect(
      MobileWidths.search.scaled(toStem: 64)
        == MobileWidths(stem: 64, stages: [32, 48, 80, 160, 192, 384, 640], head: 2560))
    #expect(
      MobileWidths.search.scaled(toStem: 4)
        == MobileWidths(stem: 4, stages: [8, 8, 8, 16, 16, 24, 40], head: 160))
    for (_, widths) in MobileWidths.proxyless {
      #expect(widths.scaled(toStem: widths.stem) == widths)
    }
    #expect(MobileWidths.fbnet.scaled(toStem: 16) == .fbnet)
  }

  @Test("Settings that make no sense are refused by name")
  func settings() {
    let wrong: [(values: [String: String], name: String)] = [
      (["blocks": "darts"], "blocks"), (["widths": "tpu"], "widths"),
      (["blocks": "fbnet", "widths": "mobile"], "widths"), (["cells": "0"], "cells"),
      (["blocks": "fbnet", "channels": "3"], "channels"),
    ]
    for (values, name) in wrong {
      let error = #expect(throws: SettingError.self) { _ = try network(values) }
      #expect(error?.name == name && error?.value == values[name])
    }
  }
}
