/// What is wrong with a search space; the message names the paths.
public enum SpaceError: Error, CustomStringConvertible, Equatable {
  /// Choices of one key that are not alike.
  case unequalChoices(key: String, first: String, second: String, difference: String)
  /// A choice that was made in the forward pass.
  case strangers([String])
  /// An input choice that names a key which does not come before it.
  case unknownKey(String, requiredBy: String)
  /// Candidates whose outputs differ in shape, where all must be added.
  case mismatch(key: String, shapes: String)
  /// A choice whose number the forward pass reads, where candidates must be mixed.
  case readOnHost(key: String)
  /// A strategy that cannot decide a choice.
  case undecidable(key: String, strategy: String, reason: String)

  /// One line for people.
  public var description: String {
    switch self {
    case .unequalChoices(let key, let first, let second, let difference):
      "choices \(first) and \(second) share the key \(key) but differ: \(difference)"
    case .strangers(let list):
      "choices made in the forward pass, create them in init: \(list.joined(separator: ", "))"
    case .unknownKey(let key, let owner):
      "\(owner) chooses from \(key), which is no key of a choice or scope before it"
    case .mismatch(let key, let shapes):
      "the candidates of \(key) give different shapes, which cannot be mixed: \(shapes)"
    case .readOnHost(let key):
      "the candidates of \(key) cannot be mixed: its value is read by the forward pass, one at a time; "
        + "use a strategy that samples, such as random"
    case .undecidable(let key, let strategy, let reason):
      "\(strategy) cannot decide \(key): \(reason)"
    }
  }
}

/// All choices of a model, found and checked before anything trains.
public final class SearchSpace {
  /// One choice a key, in the order of declaration.
  public let choices: [ChoiceDescription]
  /// The model.
  public let model: Module
  /// Mutables by key; several share a decision.
  let mutables: [String: [any Mutable]]
  /// Property paths by key, for messages.
  let paths: [String: [String]]
  private let boxes: [String: DecisionBox]
  /// What sampled decisions are replaced by while variants are rehearsed.
  var forced: [String: [Int]] = [:]
  /// Choices whose candidates give different shapes: fine for one path, not for a mixture.
  public private(set) var mismatches: [String: String] = [:]
  /// The space whose decisions are in force on this thread.
  static var active: SearchSpace? { ThreadState.current.object(SearchSpace.self) }

  /// Finds the choices of `model` and runs it, shapes only, through every candidate.
  ///
  /// - Parameters:
  ///   - model: Called with one tensor.
  ///   - input: The shape of one sample, `[C, H, W]`.
  public init(of model: some Layer, input: Shape) throws(SpaceError) {
    self.model = model
    var choices: [ChoiceDescription] = []
    var mutables: [String: [any Mutable]] = [:]
    var paths: [String: [String]] = [:]
    var known: Set<String> = []
    for (path, module) in model.namedModules {
      if let scope = module as? MutableScope { known.insert(scope.key) }
      guard let mutable = module as? any Mutable else { continue }
      let key = mutable.explicitKey ?? path
      let description = mutable.description(key: key)
      if let input = module as? InputChoice {
        for name in input.candidateNames where name != InputChoice.noKey && !known.contains(name) {
          throw .unknownKey(name, requiredBy: key)
        }
      }
      if let first = choices.first(where: { $0.key == key }) {
        if let difference = SearchSpace.difference(first, description) {
          throw .unequalChoices(
            key: key, first: paths[key]?.first ?? "", second: path, difference: difference)
        }
      } else {
        choices.append(description)
      }
      known.insert(key)
      mutables[key, default: []].append(mutable)
      paths[key, default: []].append(path)
    }
    self.choices = choices
    self.mutables = mutables
    self.paths = paths
    var boxes: [String: DecisionBox] = [:]
    for key in mutables.keys {
      let box = DecisionBox()
      box.key = key
      boxes[key] = box
    }
    self.boxes = boxes
    for (key, list) in mutables {
      for mutable in list { mutable.box = boxes[key] ?? DecisionBox() }
    }
    for box in boxes.values { box.space = self }
    try checkShapes(model, input)
  }

  fileprivate static func difference(_ a: ChoiceDescription, _ b: ChoiceDescription) -> String? {
    if a.kind != b.kind { return "\(a.kind.rawValue) choice and \(b.kind.rawValue) choice" }
    if a.candidateNames != b.candidateNames {
      return "candidates \(a.candidateNames) and \(b.candidateNames)"
    }
    if a.chosenCount != b.chosenCount {
      return
        "chosen \(a.chosenCount.map(String.init) ?? "any") and \(b.chosenCount.map(String.init) ?? "any")"
    }
    return nil
  }

  private func checkShapes(_ model: some Layer, _ input: Shape) throws(SpaceError) {
    let check = ShapeCheck(self)
    ThreadState.current.with(check) {
      _ = RecordedCost.measure {
        _ = model(Tensor(zeros: Shape([2] + input.dimensions)))
      }
    }
    if !check.strangers.isEmpty { throw .strangers(check.strangers) }
    for (key, shapes) in check.mismatches {
      mismatches[key] = shapes.map { "\($0.name) \($0.shape)" }.joined(separator: ", ")
    }
  }

  /// Throws where a strategy that mixes all candidates cannot: shapes that differ, a value that the
  /// forward pass reads.
  public func requireMixable() throws(SpaceError) {
    for choice in choices {
      let values = (mutables[choice.key] ?? []).compactMap { $0 as? ValueChoice }
      if values.contains(where: \.isReadOnHost) { throw .readOnHost(key: choice.key) }
      if let shapes = mismatches[choice.key] { throw .mismatch(key: choice.key, shapes: shapes) }
    }
  }

  /// Runs `body` with decisions in force, and clears them afterwards.
  ///
  /// - Precondition: There is a decision for every key.
  public func with<R>(_ decisions: [String: Decision], _ body: () throws -> R) rethrows -> R {
    for choice in choices {
      guard var decision = decisions[choice.key] else {
        preconditionFailure("no decision for \(choice.key)")
      }
      if decision.kind == .sampled, let forced = forced[choice.key] {
        decision.active = SearchSpace.active(decision.active.count, of: choice, from: forced)
      }
      boxes[choice.key]?.decision = decision
    }
    defer { for box in boxes.values { box.decision = nil } }
    return try ThreadState.current.with(self, body)
  }

  /// The candidates of a rehearsed variant: where a strategy samples several layers at once, as many
  /// from the forced one on.
  private static func active(_ count: Int, of choice: ChoiceDescription, from forced: [Int])
    -> [Int]
  {
    guard choice.kind != .input, count > 1, let first = forced.first else { return forced }
    let all = choice.candidateNames.count
    return (0..<min(count, all)).map { (first + $0) % all }.sorted()
  }

  /// Decisions for one architecture.
  public func decisions(
    for choices: [String: ResolvedChoice], kind: Decision.Kind
  ) -> [String: Decision] {
    choices.mapValues { Decision(kind, active: $0.active) }
  }
}

extension Module {
  /// Fixes the model to an architecture: what was not chosen is forgotten, with its parameters and
  /// their memory.
  ///
  /// Spaces made before no longer fit; parameter sets and optimizers made before trap.
  /// - Precondition: Choices of one key are alike, and nothing was applied before.
  /// - Throws: `ArchitectureError`; `DeviceError` where there is no memory to move the rest together.
  public func apply(_ architecture: Architecture) throws {
    let earlier = StorageClaim(namedVariables().map(\.variable))
    var mutables: [String: [any Mutable]] = [:]
    var paths: [String: String] = [:]
    var descriptions: [ChoiceDescription] = []
    for (path, module) in namedModules {
      guard let mutable = module as? any Mutable else { continue }
      let key = mutable.explicitKey ?? path
      let description = mutable.description(key: key)
      if let first = descriptions.first(where: { $0.key == key }) {
        if let difference = SearchSpace.difference(first, description) {
          let error = SpaceError.unequalChoices(
            key: key, first: paths[key] ?? "", second: path, difference: difference)
          preconditionFailure("\(error)")
        }
      } else {
        descriptions.append(description)
        paths[key] = path
      }
      mutables[key, default: []].append(mutable)
    }
    let resolved = try architecture.resolved(against: descriptions)
    for (key, choice) in resolved {
      for mutable in mutables[key] ?? [] { mutable.apply(choice) }
    }
    for case let layer as any ElasticLayer in namedModules.map(\.module) { try layer.cut() }
    for case let module as any Prunable in namedModules.map(\.module) { module.prune() }
    try compactStorage(after: earlier)
  }
}
