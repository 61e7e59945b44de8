/// Parameters that an optimizer treats alike.
public struct ParameterGroup {
  /// The parameters.
  public var parameters: [Parameter]
  /// Their learning rate; nil takes the optimizer's.
  public var learningRate: Float?
  /// Their weight decay; nil takes the optimizer's.
  public var weightDecay: Float?

  /// A group with settings of its own.
  public init(_ parameters: [Parameter], learningRate: Float? = nil, weightDecay: Float? = nil) {
    self.parameters = parameters
    self.learningRate = learningRate
    self.weightDecay = weightDecay
  }
}

/// Changes parameters along their gradients, in at most five launches for all of them.
///
/// Parameters without a gradient keep value, state and step count, as PyTorch does for
/// `grad is None`, or are updated as if it were zero (`AbsentGradients`). A gradient whose norm is not finite changes nothing, and from then on no optimizer
/// and no running statistic of the thread's training changes anything, until `checkFinite` throws.
public protocol Optimizer: AnyObject {
  /// The learning rate of groups without one of their own.
  var learningRate: Float { get set }
  /// Applies one update.
  func update(with gradients: Gradients) throws(DeviceError)
  /// Everything that a later update depends on, by name; for checkpoints.
  var state: OptimizerState { get throws(DeviceError) }
  /// Sets the step counts of a checkpoint; the tensors of `state` are written in place.
  func restoreSteps(_ steps: [Int]) throws(DeviceError)
  /// Throws if a gradient's norm was not finite since the last call, of this optimizer or of one that
  /// trains beside it.
  func checkFinite(step: Int) throws(DeviceError)
}

/// What an update does with parameters that have no gradient, such as those of paths not taken.
public enum AbsentGradients: Sendable {
  /// They keep value, state and step count.
  case skipped
  /// Their gradient is zero: momentum and weight decay go on.
  case zero
}

/// An optimizer's state by parameter number: step counts, and tensors like the parameters.
public struct OptimizerState {
  /// Updates that each parameter got; those that a norm that was not finite stopped do not count.
  public var steps: [Int]
  /// State tensors by name, one a parameter.
  public var tensors: [(name: String, variables: [Variable])]
}

/// What all optimizers share: groups, state and the fused update.
final class UpdateEngine<Rule: UpdateRule> {
  private let groups: [ParameterGroup]
  private let groupOf: [Int]
  /// What the device will have counted when all updates have run, unless they are stopped.
  private var steps: [Int]
  /// How often the flag had been found raised when `steps` was right.
  private var findings: Int
  private let states: [(name: String, variables: [Variable])]
  private let update: ParameterUpdate<Rule>
  private let maximumNorm: Float
  private let claim: StorageClaim

  /// - Parameters:
  ///   - names: What the rule's states are called, in its order; nil for one that is not kept.
  ///   - maximumNorm: 0 is no limit.
  init(
    _ groups: [ParameterGroup], states names: [String?],
    maximumNorm: Float, absentGradients: AbsentGradients
  ) throws(DeviceError) {
    self.groups = groups
    let parameters = groups.flatMap(\.parameters).map(\.variable)
    groupOf = groups.enumerated().flatMap { index, group in group.parameters.map { _ in index } }
    steps = parameters.map { _ in 0 }
    self.maximumNorm = maximumNorm
    var states: [(String, [Variable])] = []
    var slots: [[Variable]?] = []
    for name in names {
      guard let name else {
        slots.append(nil)
        continue
      }
      var variables: [Variable] = []
      for parameter in parameters { variables.append(try Variable(zerosLike: parameter)) }
      states.append((name, variables))
      slots.append(variables)
    }
    self.states = states
    try FlatStorage.place(parameters)
    try FlatStorage.place([], states.flatMap(\.1))
    claim = StorageClaim(parameters)
    let ranges = parameters.enumerated().map { index, parameter in
      UpdateRange(variable: parameter, states: slots.map { $0?[index] })
    }
    update = try ParameterUpdate(
      ranges, on: parameters.first?.device ?? Device.current,
      absentIsZero: absentGradients == .zero)
    findings = update.flag.findings
  }

  /// Runs one update; `rule` is asked by a parameter's group and step (from 1).
  func run(
    _ gradients: Gradients,
    _ rule: (ParameterGroup, _ step: Int) -> Rule
  ) throws(DeviceError) {
    claim.check("an optimizer")
    if findings != update.flag.findings { try readSteps() }
    try update.run(gradients, maximumNorm: maximumNorm) { index in
      steps[index] += 1
      return rule(groups[groupOf[index]], steps[index])
    }
  }

  func checkFinite(step: Int) throws(DeviceError) {
    if try update.flag.take() { throw .notFinite(step: step) }
  }

  var state: OptimizerState {
    get throws(DeviceError) {
      try readSteps()
      return OptimizerState(steps: steps, tensors: states)
    }
  }

  func restoreSteps(_ steps: [Int]) throws(DeviceError) {
    try update.steps.assign(steps.map { Int32(clamping: $0) })
    try readSteps()
  }

  private func readSteps() throws(DeviceError) {
    findings = update.flag.findings
    steps = try update.steps.scalars(as: Int32.self).map(Int.init)
  }
}
