import EspalierNN
import Foundation
import Testing

private final class Net: Module {
  let first = Conv2d(1, 3, kernelSize: 3, padding: 1)
  let norm = BatchNorm2d(3)
  let head = Linear(3, 2)

  func callAsFunction(_ x: Tensor) -> Tensor {
    head(globalAveragePool2d(norm(first(x))).flattened())
  }
}

@Suite("Parameter sets")
struct ParameterSetTests {
  private static func image() throws -> Tensor {
    try Tensor((0..<32).map { Float(($0 * 7) % 5) - 2 }, shape: [2, 1, 4, 4])
  }

  private static func bits(_ model: Module) throws -> [[UInt32]] {
    try model.namedVariables().map { try ($0.variable.scalars() as [Float]).map(\.bitPattern) }
  }

  private static func loss(_ net: Net) throws -> Tensor { square(net(try image()) - 1).sum() }

  private static func train(_ net: Net, _ optimizer: any Optimizer) throws {
    try step {
      let parameters = net.parameters.map(\.variable)
      try optimizer.update(with: try valueAndGradient(wrt: parameters) { try loss(net) }.gradients)
    }
  }

  @Test("Only the first set moves parameters: handles and snapshots live through later ones")
  func laterSetsMoveNothing() throws {
    let net = Net()
    let first = try ParameterSet(net)
    let handle = net.first.weight.value
    let before = try Self.bits(net)
    let snapshot = try first.snapshot()
    let second = try ParameterSet(net)
    let optimizer = try SGD(net.parameters, learningRate: 0.1)
    // Moving would have made this a handle of an older version, which traps.
    #expect(try handle.scalars() == net.first.weight.variable.scalars() as [Float])
    try Self.train(net, optimizer)
    #expect(try Self.bits(net) != before)
    try first.restore(snapshot)
    #expect(try Self.bits(net) == before)
    #expect(second.variables.count == first.variables.count)
  }

  @Test("A set over a part of a model restores that part alone")
  func partialSnapshot() throws {
    let net = Net()
    _ = try ParameterSet(net)
    let part = try ParameterSet(net.norm)
    let snapshot = try part.snapshot()
    let before = try Self.bits(net)
    try Self.train(net, try SGD(net.parameters, learningRate: 0.1))
    let after = try Self.bits(net)
    try part.restore(snapshot)
    let paths = net.namedVariables().map(\.path)
    for (index, (path, found)) in zip(paths, try Self.bits(net)).enumerated() {
      #expect(found == (path.hasPrefix("norm") ? before : after)[index], "\(path)")
    }
    #expect(before != after)
  }

  @Test("A snapshot and its restoring are one launch each")
  func launches() throws {
    let net = Net()
    let set = try ParameterSet(net)
    func launches(_ body: () throws -> Void) rethrows -> Int {
      let before = EngineStatistics.threadCounters.launches
      try body()
      return EngineStatistics.threadCounters.launches - before
    }
    var snapshot: Snapshot?
    #expect(try launches { snapshot = try set.snapshot() } == 1)
    #expect(try launches { if let snapshot { try set.restore(snapshot) } } == 1)
  }

  @Test("Two optimizers may share a parameter: both move it")
  func sharedParameter() throws {
    let parameters = [Parameter([1, 2], shape: [2]), Parameter([3], shape: [1])]
    let all = try SGD(parameters, learningRate: 0.5)
    let one = try SGD([parameters[0]], learningRate: 0.25, momentum: 0.5)
    for _ in 0..<2 {
      let gradients = try valueAndGradient(wrt: parameters.map(\.variable)) {
        parameters[0].value.sum() + parameters[1].value.sum()
      }.gradients
      try all.update(with: gradients)
      try one.update(with: gradients)
    }
    // Twice 0.5, and 0.25 times 1, then 1.5.
    #expect(try parameters[0].variable.scalars() == [-0.625, 0.375] as [Float])
    #expect(try parameters[1].variable.scalars() == [2] as [Float])
  }

  @Test("Parameters that no set moved are updated in at most five launches too")
  func homelessParameters() throws {
    let parameters = (0..<20).map { Parameter([Float($0)], shape: [1]) }
    let optimizer = try Adam(parameters)
    let gradients = try valueAndGradient(wrt: parameters.map(\.variable)) {
      addAll(parameters.map(\.value)).sum()
    }.gradients
    let before = EngineStatistics.threadCounters.launches
    try optimizer.update(with: gradients)
    #expect((1...5).contains(EngineStatistics.threadCounters.launches - before))
  }

  @Test("withValues puts other values in and everything back, running statistics too")
  func withValues() throws {
    let net = Net()
    let set = try ParameterSet(net)
    let optimizer = try SGD(net.parameters, learningRate: 0.1, momentum: 0.9)
    try Self.train(net, optimizer)
    let before = try Self.bits(net)
    // The same net with the values assigned for good says what is right inside.
    let other = Net()
    for (parameter, twin) in zip(net.parameters, other.parameters) {
      let values: [Float] = try parameter.variable.scalars()
      try twin.variable.assign(values.map { $0 * 0.5 })
    }
    let expected = try valueAndGradient(wrt: other.parameters.map(\.variable)) {
      try Self.loss(other)
    }
    try step {
      let halves = set.variables.map { $0.tensor * 0.5 }
      let (value, gradients) = try set.withValues(halves) {
        try valueAndGradient(wrt: set.variables) { try Self.loss(net) }
      }
      #expect(try value.scalars() == expected.value.scalars() as [Float])
      for (parameter, twin) in zip(net.parameters, other.parameters) {
        let found: [Float]? = try gradients[parameter.variable]?.scalars()
        #expect(try found == expected.gradients[twin.variable]?.scalars())
        #expect(found != nil)
      }
    }
    #expect(try Self.bits(net) == before)
    #expect(throws: CancellationError.self) {
      try set.withValues(set.variables.map { $0.tensor * 2 }) {
        try Self.train(net, optimizer)
        throw CancellationError()
      }
    }
    #expect(try Self.bits(net) == before)
  }

  @Test("withValues takes the parameters' own values in another order")
  func exchangedValues() throws {
    let parameters = [Parameter([1, 2], shape: [2]), Parameter([3, 4], shape: [2])]
    final class Pair: Module {
      let members: [Parameter]
      init(_ members: [Parameter]) { self.members = members }
    }
    let set = try ParameterSet(Pair(parameters))
    let found = try set.withValues([parameters[1].value, parameters[0].value]) {
      try parameters.map { try $0.variable.scalars() as [Float] }
    }
    #expect(found == [[3, 4], [1, 2]])
    #expect(try parameters.map { try $0.variable.scalars() as [Float] } == [[1, 2], [3, 4]])
  }

  @Test("Steps with withValues plan nothing after a rehearsal, which changes nothing")
  func rehearsal() throws {
    let net = Net()
    let set = try ParameterSet(net)
    let optimizer = try SGD(net.parameters, learningRate: 0.1)
    let before = try Self.bits(net)
    func train() throws {
      try step {
        _ = try set.withValues(set.variables.map { $0.tensor * 0.5 }) {
          try valueAndGradient(wrt: set.variables) { try Self.loss(net) }.value.item()
        }
      }
      try Self.train(net, optimizer)
    }
    try Rehearsal.run(train)
    #expect(try Self.bits(net) == before)
    let counters = EngineStatistics.threadCounters
    for _ in 0..<3 { try train() }
    #expect(EngineStatistics.threadCounters.planMisses == counters.planMisses)
    #expect(EngineStatistics.threadCounters.arenaGrowths == counters.arenaGrowths)
    #expect(try Self.bits(net) != before)
  }

  @Test("A handle of a parameter from before an update, a restore or withValues traps by name")
  func staleHandles() async {
    func expectTrap(_ result: ExitTest.Result?) {
      let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      #expect(text.contains("snapshot()") && text.contains("[2, 3]"), "\(text.suffix(300))")
    }
    expectTrap(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let net = Net()
        let handle = net.head.weight.value
        try Self.train(net, try SGD(net.parameters, learningRate: 0.1))
        _ = try handle.scalars() as [Float]
        exit(0)
      })
    expectTrap(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let net = Net()
        let set = try ParameterSet(net)
        let snapshot = try set.snapshot()
        let handle = net.head.weight.value
        try set.restore(snapshot)
        _ = try (handle * 2).scalars() as [Float]
        exit(0)
      })
    expectTrap(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let net = Net()
        let set = try ParameterSet(net)
        let inside = try set.withValues(set.variables.map { $0.tensor * 2 }) {
          net.head.weight.value
        }
        _ = try inside.scalars() as [Float]
        exit(0)
      })
  }
}
