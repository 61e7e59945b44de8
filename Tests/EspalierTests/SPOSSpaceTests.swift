import Testing

@testable import Espalier

@Suite("The spos space", .seededWeights)
struct SPOSSpaceTests {
  private func network(
    _ role: NetworkRole, _ image: ImageShape = MobileGolden.imageNet, classes: Int = 1000,
    _ values: [String: String] = [:]
  ) throws -> any SpaceModel {
    try SPOSSpace.definition.network(
      role, SpaceSettings(image: image, classes: classes, values: values))
  }

  @Test("The authors' architecture costs what the paper says, as three versions of NNI write it")
  func published() throws {
    let net = try network(.retraining)
    let choices = (1...20).map {
      ChoiceDescription(
        key: "layer_\($0)", kind: .layer, candidateNames: ["k3", "k5", "k7", "xcep"])
    }
    let files = [
      "nni1.9_spos_architecture_final.json", "spos_architecture_final_v2.json",
      "nni3_hub_spos.json",
    ]
    let architectures = try files.map { try Architecture(contentsOf: fixtures + $0) }
    let resolved = try architectures.map { try $0.resolved(against: choices) }
    #expect(resolved[0] == resolved[1] && resolved[0] == resolved[2])
    try net.apply(architectures[0])
    let cost = ModelCost(of: net, image: MobileGolden.imageNet)
    #expect((310_000_000...330_000_000).contains(cost.multiplyAdds))
    #expect((3_400_000...3_600_000).contains(cost.parameters))
    try MobileGolden.expectCost(net, "spos")
  }

  @Test("Every kind of block gives PyTorch's output for the same weights")
  func agreesWithPyTorch() throws {
    let net = try network(
      .retraining, MobileGolden.small, classes: 5, ["channels": "2", "cells": "2"])
    var architecture = Architecture()
    for (number, index) in [1, 3, 0, 2, 3, 0, 2, 1, 0, 3].enumerated() {
      architecture["layer_\(number + 1)"] = .index(index)
    }
    try net.apply(architecture)
    try MobileGolden.expectOutput(net, "spos")
  }

  @Test("There are 20 choices of four blocks, by the authors' names and NNI 1's too")
  func choices() throws {
    func open(_ net: some Layer) throws -> SearchSpace {
      try SearchSpace(of: net, input: [3, 16, 16])
    }
    let space = try open(
      try network(.supernet, MobileGolden.small, classes: 5, ["channels": "1"]))
    #expect(space.choices.map(\.key) == (1...20).map { "layer_\($0)" })
    #expect(space.choices.allSatisfy { $0.candidateNames == ["k3", "k5", "k7", "xcep"] })
    #expect(space.mismatches.isEmpty)
    var architecture = Architecture()
    for number in 1...20 {
      architecture["layer_\(number)"] = .name(number == 1 ? "xception" : "shufflenet_7x7")
    }
    let choices = try architecture.resolved(against: space.choices)
    #expect(choices["layer_1"]?.active == [3] && choices["layer_20"]?.active == [2])
  }

  @Test("Batch norm is affine in the retraining only")
  func roles() throws {
    let settings = ["channels": "2", "cells": "1"]
    let search = try network(.supernet, MobileGolden.small, classes: 5, settings)
    let retraining = try network(.retraining, MobileGolden.small, classes: 5, settings)
    #expect(!search.namedParameters.contains { $0.path == "stem.1.weight" })
    #expect(retraining.namedParameters.contains { $0.path == "stem.1.weight" })
  }
}
