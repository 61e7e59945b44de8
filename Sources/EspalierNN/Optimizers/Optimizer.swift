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
/// `grad is None`. A gradient whose norm is not finite changes nothing, now and from then on, until
/// `checkFinite` throws.
public protocol Optimizer: AnyObject {
  /// The learning rate of groups without one of their own.
  var learningRate: Float { get set }
  /// Applies one update.
  func update(with gradients: Gradients) throws(DeviceError)
  /// Everything that a later update depends on, by name; for checkpoints.
  var state: OptimizerState { get }
  /// Sets the step counts of a checkpoint; the tensors of `state` are written in place.
  func restoreSteps(_ steps: [Int])
  /// Throws if a gradient's norm was not finite since the last call.
  func checkFinite(step: Int) throws(DeviceError)
}

/// An optimizer's state by parameter number: step counts, and tensors like the parameters.
public struct OptimizerState {
  /// Updates that each parameter got.
  public var steps: [Int]
  /// State tensors by name, one a parameter.
  public var tensors: [(name: String, variables: [Variable])]
}

/// What all optimizers share: groups, state and the fused update.
public final class UpdateEngine {
  let groups: [ParameterGroup]
  let parameters: [Parameter]
  private let groupOf: [Int]
  var steps: [Int]
  let states: [(name: String, variables: [Variable])]
  private var update: ParameterUpdate
  let maximumNorm: Float

  init(_ groups: [ParameterGroup], states names: [String], maximumNorm: Float)
    throws(DeviceError)
  {
    self.groups = groups
    parameters = groups.flatMap(\.parameters)
    groupOf = groups.enumerated().flatMap { index, group in group.parameters.map { _ in index } }
    steps = parameters.map { _ in 0 }
    self.maximumNorm = maximumNorm
    var states: [(String, [Variable])] = []
    for name in names {
      var variables: [Variable] = []
      for parameter in parameters {
        variables.append(try Variable(zerosLike: parameter.variable))
      }
      if !variables.isEmpty { _ = try FlatStorage(variables) }
      states.append((name, variables))
    }
    self.states = states
    update = try ParameterUpdate(device: parameters.first?.variable.device ?? Device.current)
  }

  /// Runs one update; `row` gives scalars and flags of a parameter by its group and step (from 1).
  func run(
    _ rule: ParameterUpdate.Rule, _ gradients: Gradients,
    _ row: (ParameterGroup, _ step: Int) -> (scalars: [Float], flags: [Int32])
  ) throws(DeviceError) {
    var ranges: [ParameterUpdate.Range] = []
    for (index, parameter) in parameters.enumerated()
    where gradients[parameter.variable] != nil && !Rehearsal.isRunning {
      steps[index] += 1
      let (scalars, flags) = row(groups[groupOf[index]], steps[index])
      ranges.append(
        ParameterUpdate.Range(
          variable: parameter.variable, states: states.map { $0.variables[index] },
          scalars: scalars, flags: flags))
    }
    try update.run(rule, ranges, gradients: gradients, maximumNorm: maximumNorm)
  }

  func checkFinite(step: Int) throws(DeviceError) {
    let scale: [Float] = try update.scale.scalars()
    if scale[2] != 0 {
      try update.scale.assign([1, 0, 0] as [Float])
      throw .notFinite(step: step)
    }
  }

  var state: OptimizerState { OptimizerState(steps: steps, tensors: states) }
}
