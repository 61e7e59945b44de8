import Foundation
import Testing

@testable import Espalier

@Suite("The darts space", .seededWeights)
struct DARTSSpaceTests {
  private static let cifar = ImageShape(channels: 3, height: 32, width: 32)

  private func small(nodes: Int = 4, affine: Bool = true) -> DARTSSpace {
    var configuration = DARTSSpace.Configuration()
    (configuration.channels, configuration.cells, configuration.nodes) = (4, 3, nodes)
    configuration.affine = affine
    return DARTSSpace(
      image: ImageShape(channels: 3, height: 16, width: 16), classes: 10,
      configuration: configuration)
  }

  @Test("The authors' search network for CIFAR-10 has 1,930,618 parameters")
  func searchNetwork() throws {
    let net = try DARTSSpace.definition.makeSupernet(
      SpaceSettings(image: Self.cifar, classes: 10))
    #expect(net.parameterCount == 1_930_618)
  }

  @Test("DARTS_V2 with 36 channels and 20 cells has PyTorch's 3,349,342 parameters and 528 M MAC")
  func retrainingNetwork() throws {
    let definition = DARTSSpace.definition
    let settings = SpaceSettings(
      image: Self.cifar, classes: 10, values: ["auxiliary_weight": "0"])
    let net = try definition.makeRetrainingNetwork(settings)
    try net.apply(try Architecture(contentsOf: fixtures + "nni3_hub_darts_v2.json"))
    func measure(_ layer: some Layer) -> ModelCost { ModelCost(of: layer, image: Self.cifar) }
    let cost = measure(net)
    // Both counted with the authors' network in PyTorch 2.13.0, without pools, sums and batch norm.
    #expect(cost.parameters == 3_349_342)
    #expect(cost.multiplyAdds == 528_359_050)
  }

  @Test("DARTS_V2 gives PyTorch's output for the same weights, operation by operation")
  func agreesWithPyTorch() throws {
    guard
      case .object(let golden) = try JSONValue(
        parsing: Array(bytes(fixtures + "darts_v2_small.json"))),
      case .array(let output)? = golden["output"]
    else { throw RunError("no golden") }
    func formula(_ count: Int, _ number: Double) -> [Float] {
      (0..<count).map { Float(sin(0.7 * Double($0) + number)) }
    }
    let net = small()
    try net.apply(try Architecture(contentsOf: fixtures + "nni3_hub_darts_v2.json"))
    #expect(golden["parameters"] == .integer(net.parameterCount))
    for (number, parameter) in net.parameters.enumerated() {
      try parameter.variable.assign(formula(parameter.shape.count, Double(number)))
    }
    let x = try Tensor(formula(2 * 3 * 16 * 16, 0.5), shape: [2, 3, 16, 16])
    let found = try step { Mode.with(.training) { net(x) } }
    expectClose(
      try found.scalars(), output.compactMap(\.double).map(Float.init), relative: 1e-4)
  }

  @Test("Keys and candidates are NNI's, in NNI's order, for both cells")
  func keys() throws {
    for nodes in 1...4 {
      let space = try SearchSpace(of: small(nodes: nodes), input: [3, 16, 16])
      let expected = DARTSNames.choices(nodes: nodes)
      #expect(space.choices.map(\.key) == expected.map(\.key))
      #expect(space.choices == expected)
    }
  }

  @Test(
    "Real files of older systems apply to a retraining network, which then computes",
    arguments: [
      "junweisun_nni1.6_darts_epoch_46.json", "garenwang_nni2.0_darts_final_named.json",
      "cdarts_official_dartsv2_genotype.json", "nni3_hub_darts_v2.json",
    ])
  func files(name: String) throws {
    let net = small()
    try net.apply(try Architecture(contentsOf: fixtures + name))
    try expectComputes(net)
    if name.hasPrefix("junweisun") {
      let names = chosenNormal(net)
      #expect(names == [String](repeating: "sep_conv_3x3", count: 8))
    }
  }

  @Test(
    "The published cells of the DARTS family apply too",
    arguments: ["DARTS_V1", "DARTS_V2", "PC_DARTS_cifar", "PC_DARTS_image", "PDARTS"])
  func publishedCells(name: String) throws {
    guard
      case .object(let file) = try JSONValue(
        parsing: Array(bytes(fixtures + "cnn_cell_genotypes.json"))),
      case .object(let genotypes)? = file["genotypes"], let json = genotypes[name]
    else { throw RunError("no \(name)") }
    let genotype = try #require(try Genotype(stages: json, source: name))
    let net = small()
    try net.apply(try genotype.architecture())
    try expectComputes(net)
    let pairs = genotype.normal.edges.enumerated()
      .map { (node: $0.offset / 2, edge: $0.element) }
      .sorted { ($0.node, $0.edge.predecessor) < ($1.node, $1.edge.predecessor) }
    #expect(chosenNormal(net) == pairs.map(\.edge.operation))
  }

  /// The operations kept in the first normal cell, by node and predecessor.
  private func chosenNormal(_ net: DARTSSpace) -> [String] {
    net.namedModules.compactMap { path, module in
      path.hasPrefix("cells.0.") ? (module as? LayerChoice)?.names.first : nil
    }
  }

  private func expectComputes(
    _ net: DARTSSpace, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let x = try noise([1, 3, 16, 16])
    let output = try step { Mode.with(.evaluation) { net(x) } }
    let values: [Float] = try output.scalars()
    #expect(output.shape == [1, 10], sourceLocation: sourceLocation)
    #expect(values.allSatisfy { $0.isFinite }, sourceLocation: sourceLocation)
    #expect(Set(values).count == 10, sourceLocation: sourceLocation)
  }

  @Test("Batch norm is affine in the retraining only, and the auxiliary head trains only")
  func definitions() throws {
    let settings = SpaceSettings(
      image: ImageShape(channels: 1, height: 8, width: 8), classes: 3,
      values: ["channels": "2", "cells": "3", "nodes": "1"])
    let search = try DARTSSpace.definition.makeSupernet(settings)
    let paths = search.namedParameters.map(\.path)
    #expect(!paths.contains { $0.contains("preprocess0.2") })
    #expect(!paths.contains { $0.contains("auxiliaryHead") })
    let retrain = try DARTSSpace.definition.makeRetrainingNetwork(settings)
    let retrainPaths = retrain.namedParameters.map(\.path)
    #expect(retrainPaths.contains("cells.0.preprocess0.2.weight"))
    #expect(retrainPaths.contains { $0.contains("auxiliaryHead") })
    #expect(!retrainPaths.contains { $0.contains("max_pool_3x3.1.weight") })
    let x = try noise([2, 1, 8, 8])
    try step {
      #expect(Mode.with(.training) { retrain.withAuxiliary(x).auxiliary }?.shape == [2, 3])
      #expect(Mode.with(.evaluation) { retrain.withAuxiliary(x).auxiliary } == nil)
      #expect(Mode.with(.training) { search.withAuxiliary(x).auxiliary } == nil)
    }
  }

  @Test("Settings that make no sense are refused by name")
  func settings() {
    for (name, value) in [("channels", "3"), ("channels", "-1"), ("cells", "0"), ("nodes", "x")] {
      let error = #expect(throws: SettingError.self) {
        _ = try DARTSSpace.definition.makeSupernet(
          SpaceSettings(image: Self.cifar, classes: 10, values: [name: value]))
      }
      #expect(error?.name == name && error?.value == value)
    }
    let error = #expect(throws: SettingError.self) {
      _ = try DARTSSpace.definition.makeSupernet(
        SpaceSettings(image: ImageShape(channels: 3, height: 4, width: 32), classes: 10))
    }
    #expect(error?.value == "4x32")
  }

  @Test("Drop path spares skip connections and reaches every other edge of a pruned network")
  func dropPath() throws {
    func outputs(_ operation: String, rate: Float) throws -> [[Float]] {
      let net = InitialWeights.with(seed: 2) { small(nodes: 1) }
      var architecture = Architecture()
      for cell in DARTSNames.cells {
        architecture["\(cell)_n2_p0"] = .name(cell == "normal" ? operation : "max_pool_3x3")
        architecture["\(cell)_n2_p1"] = .name(cell == "normal" ? operation : "max_pool_3x3")
        architecture["\(cell)_n2_switch"] = .indices([0, 1])
      }
      try net.apply(architecture)
      net.dropPathRate = rate
      let cell = try #require(
        net.namedModules.first { $0.path == "cells.0" }?.module as? DARTSCell)
      let x = try noise([8, 12, 8, 8])
      return try (0..<2).map { number in
        try step(random: RandomState(seed: 1, step: UInt32(number))) {
          Mode.with(.training) { cell(x, x) }
        }.scalars()
      }
    }
    let skip = try outputs("skip_connect", rate: 0.5)
    #expect(skip[0] == skip[1])
    let convolution = try outputs("sep_conv_3x3", rate: 0.5)
    #expect(convolution[0] != convolution[1])
    let still = try outputs("sep_conv_3x3", rate: 0)
    #expect(still[0] == still[1])
  }
}
