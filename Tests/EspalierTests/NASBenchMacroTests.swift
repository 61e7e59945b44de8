import Testing

@testable import Espalier

@Suite("The nas-bench-macro space", .seededWeights)
struct NASBenchMacroTests {
  private func cost(_ name: String) throws -> ModelCost {
    let image = ImageShape(channels: 3, height: 32, width: 32)
    let net = NASBenchMacroSpace(image: image, classes: 10)
    var architecture = Architecture()
    for number in 0..<8 { architecture["layer\(number)"] = .name(name) }
    try net.apply(architecture)
    return ModelCost(of: net, image: image)
  }

  @Test("The smallest and the largest network cost what the benchmark says")
  func extremes() throws {
    let smallest = try cost("identity")
    #expect(smallest.parameters == 387_882)
    #expect((Double(smallest.multiplyAdds) / 1e4).rounded() == 771)
    let largest = try cost("MB6_K5")
    #expect((Double(largest.parameters) / 1e4).rounded() == 293)
    #expect((Double(largest.multiplyAdds) / 1e5).rounded() == 1057)
  }
}
