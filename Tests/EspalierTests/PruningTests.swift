import Foundation
import Testing

@testable import Espalier
@testable import EspalierTensor

/// A choice of four layers of a mebibyte each.
private final class Wide: Module, Layer {
  let choice = LayerChoice((0..<4).map { _ in Linear(512, 512, bias: false) })
  let head = Linear(512, 2)

  func callAsFunction(_ x: Tensor) -> Tensor { head(choice(x)) }
}

@Suite("Applying an architecture frees memory", .seededWeights)
struct PruningTests {
  private static let choice: Architecture = ["choice": .index(2)]

  private static func update(_ net: Wide, _ optimizer: any Optimizer) throws {
    let x = try Tensor([Float](repeating: 1, count: 512), shape: [1, 512])
    let gradients = try valueAndGradient(wrt: net.parameters.map(\.variable)) {
      net.head(x).sum()
    }.gradients
    try optimizer.update(with: gradients)
  }

  @Test("What was dropped goes back to the system, values and gradients; what stays keeps its bits")
  func memory() async {
    // In a process of its own: the pool is shared.
    await #expect(processExitsWith: .success) {
      let net = Wide()
      do {
        let set = try ParameterSet(net)
        try Self.update(net, try SGD(set.named.map(\.parameter), learningRate: 0.1, momentum: 0.9))
      }
      let kept: [Float] = try net.parameters[2].variable.scalars()
      let head: [Float] = try net.head.weight.variable.scalars()
      let before = CPUBackend.shared.pool.allocatedBytes
      try net.apply(Self.choice)
      let freed = before - CPUBackend.shared.pool.allocatedBytes
      // Three layers of a mebibyte: values, gradients and the momentum that the optimizer held.
      precondition(freed >= 9 << 20, "\(freed) bytes freed")
      // Of one layer and the head two copies are left, of each rounded up by an eighth at most.
      let left = CPUBackend.shared.pool.allocatedBytes
      precondition(left < 5 << 19, "\(left) bytes left")
      let keptAfter: [Float] = try net.parameters[0].variable.scalars()
      let headAfter: [Float] = try net.head.weight.variable.scalars()
      precondition(keptAfter == kept && headAfter == head, "what stays changed")
      try Self.update(net, try SGD(net.parameters, learningRate: 0.1))
      let trained: [Float] = try net.head.weight.variable.scalars()
      precondition(trained != head, "what stays is not trained")
    }
  }

  @Test("An optimizer and a set made before trap and say what to do")
  func stale() async {
    func expectTrap(_ result: ExitTest.Result?, _ holder: String) {
      let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      #expect(text.contains(holder) && text.contains("apply(_:)"), "\(text.suffix(300))")
    }
    expectTrap(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let net = Wide()
        let optimizer = try SGD(net.parameters, learningRate: 0.1)
        try net.apply(Self.choice)
        try Self.update(net, optimizer)
        exit(0)
      }, "an optimizer was made before")
    expectTrap(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let net = Wide()
        let set = try ParameterSet(net)
        try net.apply(Self.choice)
        _ = try set.snapshot()
        exit(0)
      }, "a parameter set was made before")
  }
}
