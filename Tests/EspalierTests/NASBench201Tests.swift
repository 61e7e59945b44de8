import Foundation
import Testing

@testable import Espalier

@Suite("The nas-bench-201 space", .seededWeights)
struct NASBench201Tests {
  /// Parameters and multiply-adds of a cell in the authors' network.
  private func cost(_ arch: String, image side: Int, classes: Int) throws -> ModelCost {
    let image = ImageShape(channels: 3, height: side, width: side)
    let net = try NASBench201Space.definition.makeRetrainingNetwork(
      SpaceSettings(image: image, classes: classes))
    try net.apply(try Architecture(nasBench201: arch, source: "table"))
    func measure(_ net: some Layer) -> ModelCost { ModelCost(of: net, image: image) }
    return measure(net)
  }

  @Test("Parameters and FLOPs are the table's, of CIFAR-10 and ImageNet16 networks")
  func costs() throws {
    let text = try String(contentsOfFile: fixtures + "nas_bench_201_costs.csv", encoding: .utf8)
    let rows = text.split(separator: "\n").dropFirst().map { $0.split(separator: ",") }
    #expect(rows.count > 50)
    // Some of them and the extremes: each needs two networks of 15 cells.
    let extremes = rows.sorted { (Double($0[2]) ?? 0) < (Double($1[2]) ?? 0) }
    let some = rows.enumerated().filter { $0.offset % 13 == 0 }.map(\.element)
    for row in some + extremes.prefix(1) + extremes.suffix(1) {
      let arch = String(row[0])
      let cifar = try cost(arch, image: 32, classes: 10)
      #expect(
        String(format: "%.6f", Double(cifar.parameters) / 1e6) == padded(row[1], 6), "\(arch)")
      #expect(
        String(format: "%.5f", Double(cifar.multiplyAdds) / 1e6) == padded(row[2], 5), "\(arch)")
      let small = try cost(arch, image: 16, classes: 120)
      #expect(
        String(format: "%.6f", Double(small.parameters) / 1e6) == padded(row[3], 6), "\(arch)")
      #expect(
        String(format: "%.5f", Double(small.multiplyAdds) / 1e6) == padded(row[4], 5), "\(arch)")
    }
  }

  private func padded(_ text: Substring, _ digits: Int) -> String {
    String(format: "%.\(digits)f", Double(text) ?? .nan)
  }

  @Test("The benchmark's and NNI's notations load, and the benchmark's is written")
  func notations() throws {
    let net = NASBench201Space(
      image: ImageShape(channels: 3, height: 8, width: 8), classes: 3,
      configuration: {
        var c = NASBench201Space.Configuration(); (c.channels, c.cells) = (2, 1); return c
      }())
    let space = try SearchSpace(of: net, input: [3, 8, 8])
    #expect(space.choices.map(\.key) == ["0_1", "0_2", "1_2", "0_3", "1_3", "2_3"])
    let arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    let read = try Architecture(nasBench201: arch, source: "a")
    let choices = try read.resolved(against: space.choices)
    #expect(Architecture(choices, in: space.choices).nasBench201Text == arch)
    let nni = try Architecture(contentsOf: fixtures + "nasbench201_fixed_architecture.json")
    #expect(try nni.resolved(against: space.choices)["0_2"]?.active == [2])
    // Digits count in the benchmark's order.
    let digits: Architecture = [
      "0_1": .index(4), "0_2": .index(2), "1_2": .index(1), "0_3": .index(2), "1_3": .index(1),
      "2_3": .index(1),
    ]
    let first = try digits.resolved(against: space.choices)
    #expect(
      Architecture(first, in: space.choices).nasBench201Text
        == "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
  }

  @Test("A random draw takes any of the five operations, none included")
  func draws() throws {
    var configuration = NASBench201Space.Configuration()
    (configuration.channels, configuration.cells) = (2, 1)
    let net = NASBench201Space(
      image: ImageShape(channels: 1, height: 8, width: 8), classes: 2,
      configuration: configuration)
    let space = try SearchSpace(of: net, input: [1, 8, 8])
    var generator = SeededGenerator(seed: 2)
    var seen: Set<Int> = []
    for _ in 0..<60 {
      for choice in space.randomArchitecture(&generator).values { seen.formUnion(choice.active) }
    }
    #expect(seen == [0, 1, 2, 3, 4])
  }
}
