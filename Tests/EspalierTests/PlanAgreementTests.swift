import Testing

@testable import Espalier
@testable import EspalierTensor

/// Whole models under every plan: fusions, grouping and memory against plain float64.
@Suite("Plans of whole models", .seededWeights)
struct PlanAgreementTests {
  /// Loss, all gradients and all buffers after one training pass.
  private func pass(
    _ make: () -> any SpaceModel, image: ImageShape, decisions: (SearchSpace) -> [String: Decision],
    option: Planning
  ) throws -> (numbers: [Double], names: [String], launches: Int) {
    let net = InitialWeights.with(seed: 3, make)
    let space = try SearchSpace(of: net, input: [image.channels, image.height, image.width])
    let weights = try ParameterSet(net)
    var generator = SeededGenerator(seed: 9)
    let n = 4
    let images = try Tensor(
      (0..<n * image.channels * image.height * image.width).map { _ in Float(generator.normal()) },
      shape: [n, image.channels, image.height, image.width])
    let labels = try Tensor((0..<n).map { Int32($0 % 3) })
    let before = EngineStatistics.threadCounters.launches
    return try Planning.$option.withValue(option) {
      var numbers: [Double] = []
      try step(random: RandomState(seed: 2, step: 5)) {
        let (loss, gradients) = try valueAndGradient(wrt: weights.variables) {
          space.with(decisions(space)) { crossEntropy(net(images), labels) }
        }
        numbers.append(try loss.item())
        for variable in weights.variables {
          let values: [Float] = try gradients[variable]?.scalars() ?? []
          // Each place counts differently, so a reordered element shows as a wrong one does.
          numbers.append(
            values.enumerated().reduce(0) { $0 + Double($1.element) * placeWeight($1.offset) })
        }
      }
      for (_, buffer) in weights.namedBuffers {
        let values: [Float] = try buffer.variable.scalars()
        numbers.append(
          values.enumerated().reduce(0) { $0 + Double($1.element) * placeWeight($1.offset) })
      }
      return (
        numbers, ["loss"] + weights.named.map(\.path) + weights.namedBuffers.map(\.path),
        EngineStatistics.threadCounters.launches - before
      )
    }
  }

  /// How much the element at a place counts: a sum that permutations change.
  private func placeWeight(_ index: Int) -> Double { Double((index * 7919) % 101) / 101 - 0.4 }

  func expectAgreement(
    _ make: () -> any SpaceModel, image: ImageShape,
    decisions: (SearchSpace) -> [String: Decision]
  ) throws {
    let reference = try pass(make, image: image, decisions: decisions, option: .reference)
    let none = try pass(make, image: image, decisions: decisions, option: .none)
    let full = try pass(make, image: image, decisions: decisions, option: .full)
    let scale = reference.numbers.map { abs($0) }.max() ?? 1
    for (index, expected) in reference.numbers.enumerated() {
      let bound = 1e-3 * max(scale * 0.1, abs(expected))
      #expect(abs(none.numbers[index] - expected) < bound, "\(reference.names[index])")
      #expect(abs(full.numbers[index] - expected) < bound, "\(reference.names[index])")
    }
    #expect(full.launches < none.launches)
  }

  func mixture(_ space: SearchSpace) -> [String: Decision] {
    Dictionary(
      uniqueKeysWithValues: space.choices.map { choice in
        let all = Array(choice.candidateNames.indices)
        guard choice.kind != .input else { return (choice.key, Decision(.fixed, active: all)) }
        let weights = softmax(
          Tensor(ones: [all.count]) * Float(choice.key.utf8.count % 3))
        return (choice.key, Decision(.fixed, active: all, weights: weights))
      })
  }

  private func darts(affine: Bool) -> any SpaceModel {
    var configuration = DARTSSpace.Configuration()
    (configuration.channels, configuration.cells, configuration.nodes) = (6, 3, 2)
    configuration.affine = affine
    return DARTSSpace(
      image: ImageShape(channels: 3, height: 8, width: 8), classes: 3,
      configuration: configuration)
  }

  @Test("The darts supernet as a mixture", arguments: [false, true])
  func dartsMixture(affine: Bool) throws {
    try expectAgreement(
      { darts(affine: affine) }, image: ImageShape(channels: 3, height: 8, width: 8),
      decisions: mixture)
  }

  @Test("The darts supernet along one path")
  func dartsPath() throws {
    try expectAgreement(
      { darts(affine: false) }, image: ImageShape(channels: 3, height: 8, width: 8)
    ) { space in
      var generator = SeededGenerator(seed: 4)
      return space.sampledDecisions(space.randomArchitecture(&generator))
    }
  }

  @Test("The mnist supernet as a mixture")
  func mnist() throws {
    let image = ImageShape(channels: 1, height: 12, width: 12)
    try expectAgreement(
      { MNISTSpace(image: image, classes: 3) }, image: image, decisions: mixture)
  }

  @Test("The fused convolutions take part in a supernet's step")
  func fusionTakesPart() throws {
    let image = ImageShape(channels: 3, height: 8, width: 8)
    let full = try pass({ darts(affine: false) }, image: image, decisions: mixture, option: .full)
    #expect(full.launches > 0)
    let names = Engine.shared.lock.with {
      Set(Engine.shared.plans.values.flatMap { $0.forward.names + ($0.backward?.names ?? []) })
    }
    #expect(names.contains("relu_depthwise_pointwise"))
    #expect(names.contains("relu_depthwise_pointwise_backward"))
  }
}
