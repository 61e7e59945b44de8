import Foundation
import Testing

@testable import Espalier

@Suite("Costs of architectures", .seededWeights)
struct ArchitectureCostsTests {
  /// Small settings of a space, where it has them.
  private static func small(_ definition: SpaceDefinition) -> SpaceSettings {
    let sizes = ["channels": "4", "cells": "3", "nodes": "3", "layers": "4"]
    let known = Set(definition.settings.map(\.name))
    return SpaceSettings(
      image: ImageShape(channels: 3, height: 16, width: 16), classes: 5,
      values: sizes.filter { known.contains($0.key) })
  }

  @Test(
    "In every space an architecture costs what its pruned network does",
    arguments: SpaceDefinition.all.map(\.name))
  func spaces(name: String) throws {
    let definition = try #require(SpaceDefinition.named(name))
    let settings = Self.small(definition)
    func make() throws -> any Layer { try definition.makeRetrainingNetwork(settings) }
    let costs = try ArchitectureCosts(image: settings.image, network: make)
    let space = try ShapeOnly.with { try Tests.space(of: try make(), settings.image) }
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<3 {
      let choices = space.randomArchitecture(&generator)
      let truth = try ShapeOnly.with { try prunedCost(choices, space, settings.image, make) }
      #expect(try costs.exact(choices, .parameters) == Double(truth.parameters))
      #expect(try costs.exact(choices, .multiplyAdds) == Double(truth.multiplyAdds))
    }
  }

  @Test(
    "Nested, switched, shared and conditional: every architecture's costs are exact, whether its network can be made again or not"
  )
  func everyArchitecture() throws {
    let nets = [CostNets.nested, CostNets.switched, CostNets.conditional, CostNets.sharing]
    for (number, make) in nets.enumerated() {
      let space = try Tests.space(of: make(), CostNets.image)
      let remade = try ArchitectureCosts(image: CostNets.image, network: make)
      let alone = try ArchitectureCosts(of: make(), image: CostNets.image)
      for choices in allArchitectures(space) {
        let truth = try prunedCost(choices, space, CostNets.image, make)
        for costs in [remade, alone] {
          #expect(
            try costs.exact(choices) == [
              .parameters: Double(truth.parameters), .multiplyAdds: Double(truth.multiplyAdds),
            ], "net \(number): \(choices)")
        }
      }
    }
  }

  @Test("The nested net's costs are those counted by hand")
  func byHand() throws {
    let costs = try ArchitectureCosts(image: CostNets.image, network: CostNets.nested)
    let choices = ["outer": [1], "inner": [0], "twice": [0]].mapValues {
      ResolvedChoice(active: $0)
    }
    // 1x1 from 1 to 2, 1x1 from 2 to 2, nothing (the same key takes "skip"), 1x1 from 2 to 2 twice.
    #expect(
      try costs.exact(choices, .multiplyAdds) == Double(16 * 2 * (2 + 3 + 2 * 3) + 3 * (2 + 1)))
    #expect(try costs.exact(choices, .parameters) == Double(2 * 2 + 2 * 3 + 2 * 3 + 3 * 3))
  }

  @Test("54 cells of NAS-Bench-201 have the table's parameters and FLOPs, on both kinds of images")
  func nasBench201() throws {
    let text = try String(contentsOfFile: fixtures + "nas_bench_201_costs.csv", encoding: .utf8)
    let rows = text.split(separator: "\n").dropFirst().map { $0.split(separator: ",") }
    #expect(rows.count == 54)
    for (side, classes, column) in [(32, 10, 1), (16, 120, 3)] {
      let image = ImageShape(channels: 3, height: side, width: side)
      func make() throws -> any Layer {
        try NASBench201Space.definition.makeRetrainingNetwork(
          SpaceSettings(image: image, classes: classes))
      }
      let costs = try ArchitectureCosts(image: image, network: make)
      let space = try ShapeOnly.with { try Tests.space(of: try make(), image) }
      for row in rows {
        let choices = try Architecture(nasBench201: String(row[0]), source: "table").resolved(
          against: space.choices)
        let found = try costs.exact(choices)
        // Millions with six and five decimals.
        let parameters = (found[.parameters] ?? 0) / 1e6
        let multiplyAdds = (found[.multiplyAdds] ?? 0) / 1e6
        let (expected, expectedAdds) = (
          Double(row[column]) ?? .nan, Double(row[column + 1]) ?? .nan
        )
        #expect(abs(parameters - expected) < 0.6e-6, "\(row)")
        #expect(abs(multiplyAdds - expectedAdds) < 0.6e-5, "\(row)")
      }
    }
  }

  @Test("A network made for its costs draws no weights and has all shapes")
  func shapeOnly() throws {
    let source = InitialWeights(seed: 4)
    let (first, second) = InitialWeights.$current.withValue(source) {
      let net = ShapeOnly.with { ToyNet() }
      return (net.parameterCount, source.uniform(1, bound: 1))
    }
    #expect(first == ToyNet().parameterCount)
    #expect(second == InitialWeights(seed: 4).uniform(1, bound: 1))
  }
}

/// The free functions of the tests, where a local name hides one.
private enum Tests {
  static func space(of net: any Layer, _ image: ImageShape) throws -> SearchSpace {
    try EspalierTests.space(of: net, image)
  }
}
