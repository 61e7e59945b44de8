import Testing

@testable import Espalier

@Suite("PC-DARTS", .seededWeights)
struct PCDARTSTests {
  private static let image = ImageShape(channels: 1, height: 8, width: 8)

  private static func settings(_ values: [String: String]) -> SpaceSettings {
    SpaceSettings(
      image: image, classes: 3,
      values: ["channels": "8", "cells": "3", "nodes": "2"].merging(values) { $1 })
  }

  private static func supernet(_ values: [String: String] = [:]) throws -> any SpaceModel {
    try InitialWeights.with(seed: 1) { try DARTSSpace.definition.makeSupernet(settings(values)) }
  }

  @Test("The search goes on with the space's partial network, and its export fits the whole one")
  func partialNetwork() throws {
    var options = toyOptions()
    options.makeNetwork = { role, values in
      try InitialWeights.with(seed: 1) {
        try DARTSSpace.definition.network(role, Self.settings(values))
      }
    }
    let whole = try Self.supernet()
    let trainer = SearchTrainer(
      whole, strategy: PCDARTS(), data: try data(), epochs: 1, options: options)
    let before = try whole.parameters.map { try $0.variable.scalars() as [Float] }
    let result = try trainer.train()
    // The network that was given is left as it is.
    #expect(try whole.parameters.map { try $0.variable.scalars() as [Float] } == before)
    try whole.apply(result.architecture)
  }

  private func data() throws -> LoadedData {
    try LoadedData(train: toyImages(32, side: 8), test: toyImages(16, side: 8, seed: 10))
  }

  @Test(
    "A quarter of the channels goes through the candidates, so they have a sixteenth of the weights"
  )
  func sizes() throws {
    let (whole, part) = (try Self.supernet(), try Self.supernet(["partial_channels": "4"]))
    func shapes(_ net: any SpaceModel) -> [String: Shape] {
      Dictionary(uniqueKeysWithValues: net.namedParameters.map { ($0.path, $0.parameter.shape) })
    }
    let (a, b) = (shapes(whole), shapes(part))
    #expect(Set(a.keys) == Set(b.keys))
    for (path, shape) in a where path.contains("_ops") {
      let other = try #require(b[path])
      #expect(other[0] * 4 == shape[0], "\(path)")
    }
    for (path, shape) in a where !path.contains("_ops") { #expect(b[path] == shape, "\(path)") }
  }

  @Test(
    "Channels that do not go through the candidates come out as they went in; the size is halved by their maxima"
  )
  func others() throws {
    let x = try noise([2, 8, 5, 6])
    let (same, halved) = try step { () -> [Tensor] in
      [
        PartialChannels(divisor: 4)(x) { $0 * 0 },
        PartialChannels(divisor: 4)(x) {
          maxPool2d($0, kernelSize: 3, stride: 2, padding: 1)
        },
      ]
    }.pair
    let (found, whole) = (try numbers(same), try numbers(x))
    for index in 0..<2 * 8 * 30 {
      #expect(found[index] == (index / 30 % 8 < 2 ? 0 : whole[index]))
    }
    #expect(halved.shape == [2, 8, 3, 3])
  }

  @Test("Edge normalisation decides which edges a node keeps: β times the best α")
  func edges() throws {
    let net = try DifferentiableGolden().partialNet()
    let context = try toyContext(net, try SearchSpace(of: net, input: [1, 4, 4]))
    let strategy = PCDARTS()
    try strategy.prepare(context)
    // The first edge has the surer candidate, the second counts more.
    try assign(
      ["choice3": [0, 0, 1, 0, 0, 0.5, 0, 1, 0], "edge2": [0, 2]], to: strategy)
    #expect(try strategy.architecture()["join"]?.active == [1])
    let p = try #require(strategy.probabilities()["join"])
    let best = try #require(strategy.probabilities()["e1"]?.max())
    #expect(abs(p[1] - best * 0.8807970) < 1e-5)
    try assign(
      ["choice3": [0, 0, 1, 0, 0, 0.5, 0, 1, 0], "edge2": [0, 0]], to: strategy)
    #expect(try strategy.architecture()["join"]?.active == [0])
  }

  @Test("Channels that K does not divide, or whose halves it does not, are refused by the space")
  func indivisible() throws {
    for divisor in ["3", "8"] {
      let error = #expect(throws: SettingError.self) {
        try Self.supernet(["partial_channels": divisor])
      }
      #expect(error?.name == "partial_channels")
    }
  }
}

extension [Tensor] {
  fileprivate var pair: (Tensor, Tensor) { (self[0], self[1]) }
}
