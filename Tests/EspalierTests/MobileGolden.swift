import Foundation
import Testing

@testable import Espalier

/// `Golden/mobile_spaces.json`: published networks as PyTorch counts and runs them.
struct MobileGolden: Decodable {
  /// What a network costs at 224x224x3 with 1000 classes.
  struct Cost: Decodable {
    let parameters: Int
    let multiplyAdds: Int
  }

  /// A small network's output for formulas as weights and images.
  struct Output: Decodable {
    let parameters: Int
    let output: [Float]
  }

  let costs: [String: Cost]
  let outputs: [String: Output]

  static let imageNet = ImageShape(channels: 3, height: 224, width: 224)
  static let small = ImageShape(channels: 3, height: 16, width: 16)

  static func read() throws -> MobileGolden { try golden("mobile_spaces.json") }

  /// Expects a network to cost at 224 pixels what PyTorch counted.
  static func expectCost(_ net: some Layer, _ name: String) throws {
    let expected = try #require(try read().costs[name])
    let cost = ModelCost(of: net, image: imageNet)
    #expect(cost.parameters == expected.parameters, "\(name)")
    #expect(cost.multiplyAdds == expected.multiplyAdds, "\(name)")
  }

  /// Expects PyTorch's output, by the batch's statistics, where each parameter is a formula.
  static func expectOutput(_ net: any SpaceModel, _ name: String) throws {
    let expected = try #require(try read().outputs[name])
    #expect(net.parameterCount == expected.parameters)
    func formula(_ count: Int, _ number: Double) -> [Float] {
      (0..<count).map { Float(sin(0.7 * Double($0) + number)) }
    }
    for (number, parameter) in net.parameters.enumerated() {
      try parameter.variable.assign(formula(parameter.shape.count, Double(number)))
    }
    let x = try Tensor(formula(2 * 3 * 16 * 16, 0.5), shape: [2, 3, 16, 16])
    let found: [Float] = try step { Mode.with(.supernetEvaluation) { net(x) } }.scalars()
    expectClose(found, expected.output, relative: 1e-4, name)
  }
}
