import EspalierNN
import Testing

/// What `generate.py` writes about optimizers.
struct OptimizerGoldens: Decodable, Sendable {
  struct Settings: Decodable, Sendable {
    var lr: Float
    var momentum: Float?
    var dampening: Float?
    var nesterov: Bool?
    var weight_decay: Float?
    var betas: [Double]?
    var eps: Float?
    var alpha: Double?
    var centered: Bool?
  }
  struct Case: Decodable, Sendable {
    let name: String
    let settings: Settings
    let clip: Float?
    let after: [[[Double]]]
    let states: [String: [[Double]]]
  }
  let parameters: [GoldenArray]
  let gradients: [[[Float]?]]
  let cases: [Case]
}

@Suite("Optimizers")
struct OptimizerTests {
  static let goldens: OptimizerGoldens? = try? golden("optimizers.json")

  static func make(
    _ item: OptimizerGoldens.Case, _ parameters: [Parameter],
    absentGradients: AbsentGradients = .skipped
  ) throws -> any Optimizer {
    let s = item.settings
    let decay = s.weight_decay ?? 0
    let groups =
      item.name.contains("groups")
      ? [
        ParameterGroup(Array(parameters[..<2]), learningRate: 0.03),
        ParameterGroup(Array(parameters[2..<4]), weightDecay: 0.2),
        ParameterGroup(Array(parameters[4...])),
      ] : [ParameterGroup(parameters)]
    switch item.name.split(separator: " ")[0] {
    case "sgd":
      return try SGD(
        groups: groups, learningRate: s.lr, momentum: s.momentum ?? 0,
        dampening: s.dampening ?? 0, weightDecay: decay, nesterov: s.nesterov ?? false,
        clipNorm: item.clip, absentGradients: absentGradients)
    case "rmsprop":
      return try RMSProp(
        parameters, learningRate: s.lr, alpha: s.alpha ?? 0.99, epsilon: s.eps ?? 1e-8,
        weightDecay: decay, momentum: s.momentum ?? 0, centered: s.centered ?? false,
        clipNorm: item.clip, absentGradients: absentGradients)
    default:
      return try Adam(
        groups: groups, learningRate: s.lr,
        betas: (s.betas?[0] ?? 0.9, s.betas?[1] ?? 0.999), epsilon: s.eps ?? 1e-8,
        weightDecay: decay, decoupledDecay: item.name.hasPrefix("adamw"), clipNorm: item.clip,
        absentGradients: absentGradients)
    }
  }

  /// Parameters with the golden values in flat storage.
  static func parameters() throws -> [Parameter] {
    let list = try #require(goldens).parameters.map {
      Parameter($0.floats, shape: Shape($0.shape))
    }
    final class Holder: Module {
      let list: [Parameter]
      init(_ list: [Parameter]) { self.list = list }
    }
    _ = try ParameterSet(Holder(list))
    return list
  }

  /// A loss whose gradient is `row`; parameters without one do not take part.
  static func gradients(_ parameters: [Parameter], _ row: [[Float]?]) throws -> Gradients {
    try valueAndGradient(wrt: parameters.map(\.variable)) {
      addAll(
        try zip(parameters, row).compactMap { parameter, values in
          try values.map { (parameter.value * (try Tensor($0, shape: parameter.shape))).sum() }
        })
    }.gradients
  }

  static func contents(_ parameters: [Parameter]) throws -> [[Float]] {
    try parameters.map { try $0.variable.scalars() }
  }

  @Test(
    "24 updates with half of the parameters absent agree with PyTorch's to 1e-6",
    arguments: goldens?.cases.map(\.name) ?? ["no golden file"])
  func agreesWithPyTorch(name: String) throws {
    let goldens = try #require(Self.goldens)
    let item = try #require(goldens.cases.first { $0.name == name })
    let parameters = try Self.parameters()
    let optimizer = try Self.make(item, parameters)
    var taken = parameters.map { _ in 0 }
    for (number, row) in goldens.gradients.enumerated() {
      let before = try Self.contents(parameters)
      let states = try optimizer.state.tensors.map { state in
        try state.variables.map { try $0.scalars() as [Float] }
      }
      try optimizer.update(with: Self.gradients(parameters, row))
      let after = try Self.contents(parameters)
      for (index, gradient) in row.enumerated() {
        if gradient != nil {
          taken[index] += 1
          #expect(after[index] != before[index])
        } else {
          #expect(after[index] == before[index], "\(name): absent parameter \(index) moved")
          for (state, old) in zip(try optimizer.state.tensors, states) {
            #expect(try state.variables[index].scalars() == old[index])
          }
        }
      }
      #expect(try optimizer.state.steps == taken)
      if let position = [0, 11, goldens.gradients.count - 1].firstIndex(of: number) {
        for (index, expected) in item.after[position].enumerated() {
          expectClose(
            after[index], expected, relative: 1e-6, "\(name) step \(number) parameter \(index)")
        }
      }
    }
    // About half of the updates did not take place.
    #expect(taken.allSatisfy { (6...18).contains($0) })
    let states = Dictionary(
      uniqueKeysWithValues: try optimizer.state.tensors.map { ($0.name, $0.variables) })
    #expect(Set(states.keys) == Set(item.states.keys))
    for (key, expected) in item.states {
      for (index, variable) in (states[key] ?? []).enumerated() {
        expectClose(try variable.scalars(), expected[index], relative: 2e-6, "\(name) \(key)")
      }
    }
    try optimizer.checkFinite(step: goldens.gradients.count)
  }

  @Test(
    "An update takes at most five launches, whichever parameters are present",
    arguments: goldens?.cases.map(\.name) ?? ["no golden file"])
  func launches(name: String) throws {
    let goldens = try #require(Self.goldens)
    let item = try #require(goldens.cases.first { $0.name == name })
    let parameters = try Self.parameters()
    let optimizer = try Self.make(item, parameters)
    for row in goldens.gradients.prefix(4) {
      let gradients = try Self.gradients(parameters, row)
      let before = EngineStatistics.threadCounters.launches
      try optimizer.update(with: gradients)
      let count = EngineStatistics.threadCounters.launches - before
      #expect((1...5).contains(count), "\(name): \(count) launches")
    }
  }

  @Test(
    "With absent gradients as zero, updates have the bits of gradients that are zero",
    arguments: goldens?.cases.map(\.name) ?? ["no golden file"])
  func absentAsZero(name: String) throws {
    let goldens = try #require(Self.goldens)
    let item = try #require(goldens.cases.first { $0.name == name })
    let (absent, zero) = (try Self.parameters(), try Self.parameters())
    let optimizer = try Self.make(item, absent, absentGradients: .zero)
    let expected = try Self.make(item, zero)
    for row in goldens.gradients.prefix(6) {
      let gradients = try Self.gradients(absent, row)
      let before = EngineStatistics.threadCounters.launches
      try optimizer.update(with: gradients)
      #expect(EngineStatistics.threadCounters.launches - before <= 5)
      let explicit = zip(row, zero).map { values, parameter in
        values ?? [Float](repeating: 0, count: parameter.shape.count)
      }
      try expected.update(with: Self.gradients(zero, explicit))
    }
    #expect(try Self.contents(absent) == Self.contents(zero))
    #expect(try optimizer.state.steps == [Int](repeating: 6, count: absent.count))
    #expect(try optimizer.state.steps == expected.state.steps)
  }

  @Test("With absent gradients as zero, an update without any lets decay go on")
  func allAbsentAsZero() throws {
    let parameter = Parameter([1, 2], shape: [2])
    let other = Parameter([1], shape: [1])
    let optimizer = try SGD(
      [parameter], learningRate: 0.5, weightDecay: 0.5, clipNorm: 1, absentGradients: .zero)
    try optimizer.update(
      with: valueAndGradient(wrt: [parameter.variable, other.variable]) {
        (other.value * 2).sum()
      }.gradients)
    #expect(try parameter.variable.scalars() == [0.75, 1.5] as [Float])
    #expect(try optimizer.state.steps == [1])
  }

  @Test("An optimizer whose parameters all lack a gradient does nothing")
  func nothingPresent() throws {
    let parameter = Parameter([1, 2], shape: [2])
    let other = Parameter([1], shape: [1])
    let optimizer = try Adam([parameter], learningRate: 0.1)
    try optimizer.update(
      with: valueAndGradient(wrt: [parameter.variable, other.variable]) {
        (other.value * 2).sum()
      }.gradients)
    #expect(try parameter.variable.scalars() == [1, 2] as [Float])
    #expect(try optimizer.state.steps == [0])
  }
}
