import Foundation

/// When a differentiable search ends before skip connections take over.
public struct EarlyStoppingOptions: Sendable {
  /// DARTS+ (arXiv:1909.06035): the search ends once a cell has so many skip connections; 2 in the
  /// paper, 0 is never.
  public var skips = 0
  /// RobustDARTS (arXiv:1909.09656): the search ends once the dominant eigenvalue of the validation
  /// loss, before by after, has this ratio or less; 0.75 in the paper, 0 is never.
  public var eigenvalueRatio = 0.0
  /// Epochs over which the eigenvalue is averaged, and between before and after.
  public var window = 5

  /// Never.
  public init() {}

  init(_ values: SettingValues) throws(SettingError) {
    skips = try values.integer("stop_skips", default: 0, in: 0...1000)
    eigenvalueRatio = try values.number("stop_eigenvalue_ratio", default: 0, in: 0...1)
    window = try values.integer("stop_eigenvalue_window", default: 5, in: 1...100)
  }

  /// The part of `settings` for strategies whose loss has no mixture to be curved.
  static let skipSettings = [
    SettingDescription(
      "stop_skips", "0",
      "DARTS+: end once a cell has so many skip connections; 2 in the paper, 0 never")
  ]
  /// The settings that `init` reads.
  static let settings =
    skipSettings + [
      SettingDescription(
        "stop_eigenvalue_ratio", "0",
        "RobustDARTS: end once the dominant eigenvalue of the validation Hessian before / after has fallen to this; 0.75 in the paper, 0 never"
      ),
      SettingDescription(
        "stop_eigenvalue_window", "5", "epochs that the eigenvalue is averaged over and compared by"
      ),
    ]
}

/// What early stopping has seen.
struct EarlyStopping {
  private let options: EarlyStoppingOptions
  /// The dominant eigenvalue after each epoch.
  private(set) var eigenvalues: [Double] = []
  /// α, by table, after the last epochs, oldest first.
  private var history: [[[Float]]] = []

  init(_ options: EarlyStoppingOptions) { self.options = options }

  /// Whether eigenvalues are looked at.
  var isUsed: Bool { options.eigenvalueRatio > 0 }

  /// Whether the step at a position is one after which the eigenvalue is measured: an epoch's last.
  func isDue(_ position: TrainingPosition) -> Bool {
    isUsed && (position.step + 1) * position.epochCount % position.stepCount == 0
  }

  /// Notes an epoch's eigenvalue.
  mutating func add(eigenvalue: Double) { eigenvalues.append(eigenvalue) }

  /// Whether the search ends after an epoch.
  ///
  /// Where the curvature says so, α become again what they were `window` epochs ago.
  mutating func epochEnded(
    _ alpha: AlphaTables, _ architecture: [String: ResolvedChoice], in space: SearchSpace
  ) throws -> SearchContinuation {
    if isUsed {
      history.append(try alpha.variables.map { try $0.scalars() })
      history = history.suffix(options.window + 1)
      if let (before, after) = averages, before / after <= options.eigenvalueRatio {
        for (variable, values) in zip(alpha.variables, history[0]) { try variable.assign(values) }
        return .stop(
          reason: "the dominant eigenvalue of the validation loss rose from \(short(before)) to "
            + "\(short(after)) in \(options.window) epochs; α of then are the result")
      }
    }
    if options.skips > 0, let (cell, count) = space.mostSkips(architecture), count >= options.skips
    {
      return .stop(reason: "\(count) skip connections in \(cell)")
    }
    return .goOn
  }

  /// The averages over `window` epochs that ended `window` epochs ago and now; at the beginning over
  /// as many as there are, at least the half.
  private var averages: (before: Double, after: Double)? {
    let window = options.window
    let first = eigenvalues.dropLast(window).suffix(window)
    guard history.count > window, 2 * first.count >= window else { return nil }
    func mean(_ values: ArraySlice<Double>) -> Double {
      values.reduce(0, +) / Double(values.count)
    }
    return (mean(first), mean(eigenvalues.suffix(window)))
  }

  private func short(_ value: Double) -> String { String(format: "%.3g", value) }

  /// What a checkpoint must hold.
  var state: JSONObject {
    guard isUsed else { return [:] }
    return [
      "eigenvalues": .array(eigenvalues.map { .number($0) }),
      "history": .array(
        history.map { tables in
          .array(tables.map { .array($0.map { .number(Double($0)) }) })
        }),
    ]
  }

  /// Puts `state` back.
  mutating func restore(_ state: JSONObject) throws {
    guard isUsed else { return }
    guard case .array(let eigenvalues)? = state["eigenvalues"],
      case .array(let epochs)? = state["history"]
    else { throw RunError("checkpoint: the eigenvalues of early stopping are missing") }
    func list(_ value: JSONValue) -> [JSONValue] {
      if case .array(let list) = value { list } else { [] }
    }
    self.eigenvalues = eigenvalues.compactMap(\.double)
    history = epochs.map { list($0).map { list($0).compactMap { $0.double.map { Float($0) } } } }
  }
}

extension SearchSpace {
  /// The cell with the most skip connections in an architecture, and how many it has.
  ///
  /// A cell is the innermost scope of its choices, or the network. As in DARTS+, cells that reduce do
  /// not count: those in which a skip connection has weights of its own.
  func mostSkips(_ architecture: [String: ResolvedChoice]) -> (cell: String, count: Int)? {
    let scopes = model.namedModules.compactMap { path, module in
      (module as? MutableScope).map { (path: path + ".", key: $0.key) }
    }
    var counts: [String: Int] = [:]
    var reducing: Set<String> = []
    for choice in choices {
      let path = paths[choice.key]?.first ?? ""
      let scope = scopes.filter { path.hasPrefix($0.path) }.max { $0.path.count < $1.path.count }
      let cell = scope.map { "cell \($0.key)" } ?? "the network"
      let kinds = operationKinds(choice.key)
      let taken = architecture[choice.key]?.active.filter { kinds.indices.contains($0) } ?? []
      counts[cell, default: 0] += taken.count { kinds[$0] == .skip }
      if let layers = (mutables[choice.key]?.first as? LayerChoice)?.candidates.map(\.layer),
        layers.contains(where: { $0 is any SkipLayer && !$0.parameters.isEmpty })
      {
        reducing.insert(cell)
      }
    }
    // Equal counts: the first by name, so that the reason is the same each time.
    let most = counts.filter { !reducing.contains($0.key) }
      .max { ($0.value, $1.key) < ($1.value, $0.key) }
    return most.map { ($0.key, $0.value) }
  }
}
