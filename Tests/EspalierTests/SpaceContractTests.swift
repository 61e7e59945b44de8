import Testing

@testable import Espalier
@testable import EspalierTensor

/// What every space must do, at sizes that take no time.
@Suite("Every space", .seededWeights)
struct SpaceContractTests {
  private static let all: [String] = SpaceDefinition.all.map(\.name)

  /// Settings that make a space small; those it does not have are left out.
  static func small(_ definition: SpaceDefinition, _ image: ImageShape, classes: Int = 3)
    -> SpaceSettings
  {
    let wanted = ["channels": "4", "cells": definition.name == "darts" ? "3" : "1", "nodes": "2"]
    let known = Set(definition.settings.map(\.name))
    return SpaceSettings(
      image: image, classes: classes, values: wanted.filter { known.contains($0.key) })
  }

  static let grey = ImageShape(channels: 1, height: 16, width: 16)
  static let coloured = ImageShape(channels: 3, height: 28, width: 28)

  private func definition(_ name: String) throws -> SpaceDefinition {
    try #require(SpaceDefinition.named(name))
  }

  private func open(_ net: any Layer, _ image: ImageShape) throws -> SearchSpace {
    func open(_ net: some Layer) throws -> SearchSpace {
      try SearchSpace(of: net, input: [image.channels, image.height, image.width])
    }
    return try open(net)
  }

  private func images(_ count: Int, _ image: ImageShape, seed: UInt64 = 1) throws -> Tensor {
    try noise([count, image.channels, image.height, image.width], seed: seed)
  }

  @Test("Both networks are made, for grey and coloured images of any size", arguments: all)
  func sizes(name: String) throws {
    let definition = try definition(name)
    for image in [
      Self.grey, Self.coloured, ImageShape(channels: 3, height: 32, width: 32),
      ImageShape(channels: 1, height: 17, width: 17),
    ] {
      let settings = Self.small(definition, image, classes: 5)
      var keys: [[ChoiceDescription]] = []
      for role in [NetworkRole.supernet, .retraining] {
        let net = try definition.network(role, settings)
        let space = try open(net, image)
        keys.append(space.choices)
        let output = Mode.with(.evaluation) { RecordedCost.shape(of: net, image, count: 2) }
        #expect(output == [2, 5], "\(image)")
      }
      #expect(keys[0] == keys[1], "the same choices in both")
    }
  }

  @Test("Images that are too small are refused by name", arguments: all)
  func tooSmall(name: String) throws {
    let definition = try definition(name)
    let image = ImageShape(channels: 1, height: 1, width: 1)
    let error = #expect(throws: SettingError.self) {
      _ = try definition.makeSupernet(Self.small(definition, image))
    }
    #expect(error?.name == "image")
  }

  @Test("A pruned network with inherited weights gives the supernet's output", arguments: all)
  func pruned(name: String) throws {
    let definition = try definition(name)
    let image = Self.grey
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<3 {
      let net = try InitialWeights.with(seed: 1) {
        try definition.makeSupernet(Self.small(definition, image))
      }
      let space = try open(net, image)
      let choices = space.randomArchitecture(&generator)
      let x = try images(3, image)
      let expected: [Float] = try step {
        Mode.with(.supernetEvaluation) { space.with(space.sampledDecisions(choices)) { net(x) } }
      }.scalars()
      let text = Architecture(choices, in: space.choices).jsonText
      try net.apply(try Architecture(parsing: Array(text.utf8), source: "a.json"))
      let found: [Float] = try step { Mode.with(.supernetEvaluation) { net(x) } }.scalars()
      expectClose(found, expected, "\(text)")
    }
  }

  @Test("Sampled paths learn", arguments: all)
  func learns(name: String) throws {
    let definition = try definition(name)
    let image = Self.grey
    let net = try InitialWeights.with(seed: 1) {
      try definition.makeSupernet(Self.small(definition, image))
    }
    let search = try toyContext(net, try open(net, image), learningRate: 0.01)
    let strategy = RandomSearch()
    try search.prepare(strategy)
    let data = toyImages(48, side: 16)
    var losses: [Double] = []
    for number in 0..<40 {
      let batch = try TensorBatch(Batch(of: data, at: (0..<16).map { (number * 7 + $0 * 5) % 48 }))
      losses.append(
        try step(random: RandomState(seed: 1, step: UInt32(number))) {
          try strategy.step(search, training: batch) { batch }
        }.loss.item())
    }
    let (early, late) = (losses.prefix(12).reduce(0, +), losses.suffix(12).reduce(0, +))
    #expect(late < early, "\(losses)")
  }

  @Test("Along one path, and as a mixture where there can be one, all plans agree", arguments: all)
  func plans(name: String) throws {
    let definition = try definition(name)
    let settings = Self.small(definition, Self.grey)
    let make: () -> any SpaceModel = {
      guard let net = try? definition.makeSupernet(settings) else {
        preconditionFailure("no network of \(name)")
      }
      return net
    }
    let agreement = PlanAgreementTests()
    try agreement.expectAgreement(make, image: Self.grey) { space in
      var generator = SeededGenerator(seed: 4)
      return space.sampledDecisions(space.randomArchitecture(&generator))
    }
    if (try? open(make(), Self.grey).requireMixable()) != nil {
      try agreement.expectAgreement(make, image: Self.grey, decisions: agreement.mixture)
    }
  }

  @Test("50 sampled steps plan nothing after the rehearsal", arguments: all)
  func steady(name: String) async {
    await #expect(processExitsWith: .success) { [name] in
      guard let definition = SpaceDefinition.named(name) else { fatalError("no \(name)") }
      let net = try InitialWeights.with(seed: 1) {
        try definition.makeSupernet(SpaceContractTests.small(definition, SpaceContractTests.grey))
      }
      try SpaceContractTests.expectSteadyState(net)
    }
  }
}

extension SpaceContractTests {
  /// Expects that after the rehearsal nothing is planned.
  static func expectSteadyState(_ net: some SpaceModel) throws {
    try RehearsalTests.expectSteadyState(net, image: grey, classes: 3, steps: 50, launches: 500)
  }
}

extension RecordedCost {
  /// The shape of a network's output, without running it.
  static func shape(of net: any Layer, _ image: ImageShape, count: Int) -> Shape {
    var shape: Shape = []
    _ = measure {
      shape = net(Tensor(zeros: [count, image.channels, image.height, image.width])).shape
    }
    return shape
  }
}
