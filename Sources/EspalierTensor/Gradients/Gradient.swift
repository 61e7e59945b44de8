/// Gradients by variable, as the last backward pass left them.
///
/// A variable's gradient lies in one place: the next backward pass over the same variable overwrites
/// it. `snapshot()` a tensor to keep it longer.
public struct Gradients {
  private var slices: [ObjectIdentifier: (slice: Slice, version: Int)] = [:]

  init(_ variables: [Variable], _ slices: [Slice?]) {
    for (variable, slice) in zip(variables, slices) {
      guard let slice else { continue }
      variable.gradientContents.write()
      self.slices[ObjectIdentifier(variable)] = (slice, variable.gradientContents.recorded)
    }
  }

  /// The gradient of a variable; nil where the loss does not depend on it.
  public subscript(variable: Variable) -> Tensor? {
    slices[ObjectIdentifier(variable)].map { slice, version in
      let value = Value(type: variable.type, device: variable.device, slice: slice)
      value.contents = variable.gradientContents
      value.version = version
      return Tensor(value)
    }
  }

  func slice(of variable: Variable) -> Slice? {
    guard let (slice, version) = slices[ObjectIdentifier(variable)] else { return nil }
    precondition(
      version == variable.gradientContents.recorded,
      "the gradient of a parameter \(variable.type.shape) was overwritten by a later backward pass")
    return slice
  }

  /// Number of variables that have a gradient.
  public var count: Int { slices.count }
}

/// Runs `body` and returns its results with the gradient of the first towards each variable.
///
/// - Parameters:
///   - variables: What to differentiate by; those the loss does not depend on get none.
///   - body: Returns a pack whose first tensor is the loss, one element.
public func valueAndGradient<R: TensorPack>(
  wrt variables: [Variable], _ body: () throws -> R
) throws -> (value: R, gradients: Gradients) {
  let sources = variables.map { $0.tensor }
  let (pack, slices) = try differentiate(sources, usesGradientStorage: true, body)
  return (pack, Gradients(variables, slices))
}

/// Runs `body` and returns its results with the gradient of the first towards each tensor.
///
/// Inside another gradient the backward pass is recorded, so gradients of gradients work.
/// - Returns: A gradient for each tensor; nil where the loss does not depend on it.
public func valueAndGradient<R: TensorPack>(
  wrt tensors: [Tensor], _ body: () throws -> R
) throws -> (value: R, gradients: [Tensor?]) {
  let recorder = Recorder.current
  if recorder.gradientDepth > 0 || recorder.kind == .planning {
    return try nestedGradient(recorder, tensors, body)
  }
  let (pack, slices) = try differentiate(tensors, usesGradientStorage: false, body)
  return (
    pack,
    zip(tensors, slices).map { tensor, slice in
      slice.map { Tensor(Value(type: tensor.type, device: tensor.device, slice: $0)) }
    }
  )
}

/// The gradient of `body`'s loss towards each tensor.
public func gradient(of body: () throws -> Tensor, wrt tensors: [Tensor]) throws -> [Tensor?] {
  try valueAndGradient(wrt: tensors, body).gradients
}

/// A tensor of the same value that lets no gradient through.
public func stopGradient(_ x: Tensor) -> Tensor { record(StopGradient(), x) }

private func differentiate<R: TensorPack>(
  _ sources: [Tensor], usesGradientStorage: Bool, _ body: () throws -> R
) throws -> (R, [Slice?]) {
  let outer = Recorder.current
  if outer.kind == .immediate {
    try Executor.flushImmediate(outer)
    return try Recorder.withStep { recorder in
      recorder.randomSeed = outer.randomSeed
      recorder.randomStep = outer.randomStep
      recorder.randomCount = outer.randomCount
      defer { outer.randomCount = recorder.randomCount }
      let result = try differentiate(sources, usesGradientStorage: usesGradientStorage, body)
      // Updates that were recorded beside the loss.
      try Executor.execute(recorder, demanded: [], gradient: nil)
      return result
    }
  }
  let recorder = outer
  precondition(
    recorder.gradientDepth == 0,
    "gradients towards variables cannot be nested; use tensors inside a gradient closure")
  // Positions count within a pass, so that passes share their memory bound.
  recorder.cutCount = 0
  recorder.mark(cut: true, identity: 1)
  let start = recorder.records.count
  let numbers = sources.map { recorder.number(of: $0.value) }
  recorder.gradientDepth += 1
  defer { recorder.gradientDepth -= 1 }
  let pack = try body()
  guard let loss = pack.tensors.first else { preconditionFailure("the pack has no loss") }
  precondition(loss.shape.count == 1, "the loss must have one element, it has shape \(loss.shape)")
  // A loss that nothing recorded here makes has no gradient, save towards itself.
  let lossNumber = recorder.number(of: loss.value)
  guard Int(recorder.producers[Int(lossNumber)]) >= start else {
    try recorder.keep(pack)
    let slices = try numbers.map { number throws(DeviceError) -> Slice? in
      guard number == lossNumber else { return nil }
      return try loss.onesLike().store()
    }
    return (pack, slices)
  }
  recorder.mark(cut: true, identity: 2)
  let demanded = pack.tensors.filter { $0.value.slice == nil }.map { recorder.number(of: $0.value) }
  let slices = try Executor.execute(
    recorder, demanded: demanded,
    gradient: GradientRequest(
      start: start, loss: loss.value.number, sources: numbers,
      usesGradientStorage: usesGradientStorage))
  return (pack, slices)
}

private func nestedGradient<R: TensorPack>(
  _ recorder: Recorder, _ sources: [Tensor], _ body: () throws -> R
) throws -> (R, [Tensor?]) {
  let start = recorder.records.count
  let numbers = sources.map { recorder.number(of: $0.value) }
  recorder.gradientDepth += 1
  defer { recorder.gradientDepth -= 1 }
  let pack = try body()
  guard let loss = pack.tensors.first else { preconditionFailure("the pack has no loss") }
  precondition(loss.shape.count == 1, "the loss must have one element, it has shape \(loss.shape)")
  let range = start..<recorder.records.count
  let needs = Differentiation.dependents(recorder, range, on: numbers)
  let found = Differentiation.append(
    to: recorder, range, seeds: [recorder.number(of: loss.value): loss.onesLike()], needs: needs)
  return (pack, numbers.map { found[$0] })
}
