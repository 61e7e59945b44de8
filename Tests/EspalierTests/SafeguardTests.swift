import Testing

@testable import Espalier

@Suite("Safeguards against collapse", .seededWeights)
struct SafeguardTests {
  // MARK: The curvature

  @Test("The dominant eigenvalue is that of PyTorch's Hessian, and α are left as they were")
  func eigenvalue() throws {
    let golden = try DifferentiableGolden()
    let context = try golden.context(try golden.net(), input: [3])
    var options = MixedSearchOptions()
    options.stopping.eigenvalueRatio = 0.75
    let strategy = DARTS(options)
    try strategy.prepare(context)
    try assign(golden.alpha, to: strategy)
    context.position.step = 9
    try step { try strategy.prepared.measureCurvature(context, try golden.batch(2)) }
    let found = try #require(strategy.prepared.stopping.eigenvalues.first)
    #expect(abs(found - golden.eigenvalue) < 0.01 * golden.eigenvalue, "\(found)")
    for (name, variable) in strategy.variables {
      #expect(try variable.scalars() == golden.alpha[String(name.dropFirst(6))])
    }
  }

  /// α of one choice, and early stopping that looks at them.
  private func stopping(window: Int) throws -> (EarlyStopping, AlphaTables, SearchSpace) {
    let choice = LayerChoice([Scale(1), Scale(2)], key: "choice")
    let model = Model(["choice": choice]) { choice($0) }
    let space = try SearchSpace(of: model, input: [1])
    var options = EarlyStoppingOptions()
    (options.eigenvalueRatio, options.window) = (0.75, window)
    var generator = SeededGenerator(seed: 1)
    return (
      EarlyStopping(options), try AlphaTables(space, deviation: 0, &generator), space
    )
  }

  @Test("The search ends when the average eigenvalue has risen by a third, and α go back to before")
  func ratio() throws {
    var (stopping, alpha, space) = try stopping(window: 2)
    // Averages over 2: 1, 1, 1, 1.2, 1.45 after the epochs 2 to 6.
    for (epoch, eigenvalue) in [1, 1, 1, 1, 1.4, 1.5].enumerated() {
      // The state survives a checkpoint between any two epochs.
      let state = stopping.state
      (stopping, _, _) = try self.stopping(window: 2)
      try stopping.restore(state)
      try alpha.variables[0].assign([Float(epoch), 0])
      stopping.add(eigenvalue: eigenvalue)
      let continuation = try stopping.epochEnded(alpha, [:], in: space)
      if epoch < 5 {
        #expect(continuation == .goOn, "epoch \(epoch)")
      } else {
        guard case .stop(let reason) = continuation else {
          Issue.record("went on")
          return
        }
        #expect(reason.contains("from 1 to 1.45 in 2 epochs"), "\(reason)")
        #expect(try alpha.variables[0].scalars() == [3, 0])
      }
    }
  }

  @Test("Without the option nothing is measured and nothing kept")
  func off() throws {
    let golden = try DifferentiableGolden()
    let context = try golden.context(try golden.net(), input: [3])
    let strategy = DARTS()
    try strategy.prepare(context)
    context.position.step = 9
    try step { try strategy.prepared.measureCurvature(context, try golden.batch(2)) }
    #expect(strategy.prepared.stopping.eigenvalues.isEmpty && strategy.state == [:])
    #expect(try strategy.epochEnded(context) == .goOn)
  }

  @Test(
    "Searches with each safeguard plan nothing after the rehearsal and survive a stop at any step",
    arguments: [
      ["stop_eigenvalue_ratio": "0.0001", "stop_eigenvalue_window": "1"], ["auxiliary_skip": "1"],
      ["zero_one_weight": "10"], ["implicit_zero": "true"], ["stop_skips": "5"],
    ], ["darts", "darts-second-order", "pc-darts"])
  func resumes(values: [String: String], name: String) throws {
    func strategy() throws -> any SearchStrategy {
      try #require(StrategyDefinition.named(name)).make(
        SettingValues(values.merging(["alpha_learning_rate": "0.05"]) { $1 }))
    }
    #expect(try planMisses(strategy()).allSatisfy { $0 == 0 })
    try withTemporaryFolder { folder in
      try runToySearch(folder + "/whole", strategy())
      for stop in [3, 4] {
        let parts = "\(folder)/\(stop)"
        #expect(throws: TrainingInterrupted.self) {
          try runToySearch(parts, strategy(), stopAfter: stop)
        }
        try runToySearch(parts, strategy(), isResuming: true)
        for file in ["architecture.json", "checkpoint.safetensors", "epochs/1.json"] {
          #expect(try bytes("\(folder)/whole/\(file)") == bytes("\(parts)/\(file)"), "\(file)")
        }
      }
    }
  }

  // MARK: Skip connections

  @Test(
    "A search ends once a normal cell has as many skip connections; reducing cells do not count")
  func skips() throws {
    var configuration = DARTSSpace.Configuration()
    (configuration.channels, configuration.cells, configuration.nodes) = (4, 3, 2)
    let net = DARTSSpace(
      image: ImageShape(channels: 1, height: 8, width: 8), classes: 3, configuration: configuration)
    let space = try SearchSpace(of: net, input: [1, 8, 8])
    func architecture(normal: Int, reduce: Int) -> [String: ResolvedChoice] {
      var result: [String: ResolvedChoice] = [:]
      for (cell, skips) in [("normal", normal), ("reduce", reduce)] {
        let keys = space.choices.map(\.key).filter { $0.hasPrefix(cell) && !$0.contains("switch") }
        for (index, key) in keys.enumerated() {
          let name = index < skips ? "skip_connect" : "sep_conv_3x3"
          let names = space.choices.first { $0.key == key }?.candidateNames ?? []
          result[key] = ResolvedChoice(active: [names.firstIndex(of: name) ?? 0])
        }
      }
      return result
    }
    #expect(space.mostSkips(architecture(normal: 1, reduce: 4))?.count == 1)
    let most = try #require(space.mostSkips(architecture(normal: 2, reduce: 4)))
    #expect(most.cell == "cell normal" && most.count == 2)
    var options = EarlyStoppingOptions()
    options.skips = 2
    var generator = SeededGenerator(seed: 1)
    let alpha = try AlphaTables(space, deviation: 0, &generator)
    var stopping = EarlyStopping(options)
    #expect(try stopping.epochEnded(alpha, architecture(normal: 1, reduce: 4), in: space) == .goOn)
    #expect(
      try stopping.epochEnded(alpha, architecture(normal: 3, reduce: 0), in: space)
        == .stop(reason: "3 skip connections in cell normal"))
  }

  // MARK: Relaxations

  private func relaxation(_ change: (inout RelaxationOptions) -> Void) throws
    -> (Relaxation, AlphaTables)
  {
    let golden = try DifferentiableGolden()
    let space = try SearchSpace(of: try golden.net(), input: [3])
    var options = RelaxationOptions()
    change(&options)
    var generator = SeededGenerator(seed: 1)
    let alpha = try AlphaTables(space, deviation: 1, &generator)
    return (try Relaxation(options, alpha, in: space), alpha)
  }

  @Test("The auxiliary skip adds its share to skip connections only, and is gone at the end")
  func auxiliary() throws {
    let (relaxation, alpha) = try relaxation { $0.auxiliarySkip = 1 }
    let table = try #require(alpha.tables.first { $0.candidates == 3 })
    let plain: [Float] = try relaxation.probabilities(table).scalars()
    let half: [Float] = try relaxation.weights(table, progress: 0.5).scalars()
    expectClose(zip(half, plain).map { $0 - $1 }, [0, 0.5, 0, 0, 0.5, 0], relative: 1e-6)
    #expect(try relaxation.weights(table, progress: 1).scalars() == plain)
  }

  @Test("Sigmoids let several candidates be sure at once; their loss is largest at one half")
  func fair() throws {
    let (relaxation, alpha) = try relaxation { $0.zeroOneWeight = 10 }
    for table in alpha.tables {
      try table.alpha.assign([Float](repeating: 0, count: table.alpha.type.shape.count))
    }
    #expect(try #require(relaxation.penalty(alpha)).item() == 0)
    let table = try #require(alpha.tables.first { $0.candidates == 3 })
    try table.alpha.assign([9, 9, 9, -9, -9, -9] as [Float])
    let sure: [Float] = try relaxation.weights(table, progress: 0).scalars()
    expectClose(sure, [1, 1, 1, 0, 0, 0], relative: 1e-3)
    // Six of eight α are sure: −10 · 6/8 · ¼.
    #expect(abs(try #require(relaxation.penalty(alpha)).item() + 1.875) < 1e-2)
  }

  // MARK: Collapse

  @Test(
    "A search is said to collapse when choices prefer what has no weights, beyond an even share")
  func collapse() throws {
    let space = try SearchSpace(of: try DifferentiableGolden().net(), input: [3])
    func shares(_ e0: [Double], _ e1: [Double]) -> OperationShares {
      OperationShares(
        ["first": [0.5, 0.5], "e0": e0, "e1": e1, "gates": [0.5, 0.5], "join": [0.5, 0.5]],
        in: space)
    }
    // First has weights in both candidates and does not count.
    let collapsed = shares([0.1, 0.7, 0.2], [0.6, 0.3, 0.1])
    #expect(collapsed.isCollapsed)
    #expect(abs(collapsed.skip - 0.5) < 1e-12 && abs(collapsed.zero - 0.35) < 1e-12)
    #expect(abs(collapsed.parameterFree - 0.85) < 1e-12)
    #expect(!shares([0.1, 0.7, 0.2], [0.1, 0.2, 0.7]).isCollapsed)
    // At the beginning all are equally probable, and ties go to the first, which is zero.
    #expect(!shares([1 / 3, 1 / 3, 1 / 3], [1 / 3, 1 / 3, 1 / 3]).isCollapsed)
    #expect(!OperationShares(["first": [1, 0]], in: space).isCollapsed)
  }

  /// Always sure of one candidate.
  private final class Stubborn: SearchStrategy {
    static let name = "stubborn"
    let needsValidationBatch = false
    let candidate: Int
    private var space: SearchSpace?

    init(_ candidate: Int) { self.candidate = candidate }
    func prepare(_ search: SearchContext) throws { space = search.space }
    func step(
      _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
    ) throws -> StepResult {
      try search.trainWeights(search.space.sampledDecisions(architecture()), training)
    }
    func probabilities() throws -> [String: [Double]] {
      ["second": candidate == 0 ? [0.9, 0.1] : [0.1, 0.9]]
    }
    func architecture() throws -> [String: ResolvedChoice] {
      [
        "first": ResolvedChoice(active: [0]), "second": ResolvedChoice(active: [candidate]),
        "skip": ResolvedChoice(active: [0]), "one": ResolvedChoice(active: [0]),
      ]
    }
  }

  @Test(
    "A collapse is told once, is in each line of the log, and in the summary", arguments: [0, 1])
  func told(candidate: Int) throws {
    try withTemporaryFolder { folder in
      var notes: [String] = []
      try runToySearch(folder, Stubborn(candidate), notes: { notes.append($0) })
      let isCollapsed = candidate == 1
      #expect(notes.count { $0.contains("collapses") } == (isCollapsed ? 1 : 0), "\(notes)")
      for line in try jsonLines(folder + "/log.jsonl") {
        guard case .object(let shares)? = line["shares"] else {
          Issue.record("\(line)")
          continue
        }
        #expect(shares["skip"] == .number(isCollapsed ? 0.9 : 0.1))
        #expect(Set(shares.keys) == ["zero", "skip", "parameter_free", "preferred"])
      }
      guard
        case .object(let summary) = try JSONValue(parsing: Array(bytes(folder + "/summary.json")))
      else { throw RunError("summary") }
      #expect((summary["collapsed"] != nil) == isCollapsed)
    }
  }
}
