/// A model, its optimizers and what else training needs, as one safetensors file.
///
/// Model tensors keep their paths (`stem.0.weight`), everything else has a prefix with a slash.
/// Holds no time, path or host, so equal states give equal bytes.
public struct Checkpoint {
  /// The arrays and text.
  public var file: Safetensors

  /// An empty checkpoint.
  public init() { file = Safetensors() }

  /// A checkpoint from a file's contents.
  public init(_ file: Safetensors) { self.file = file }

  /// Adds parameters and buffers under their paths.
  public mutating func add(_ model: Module) throws(DeviceError) {
    for (path, variable) in model.namedVariables() { try add(variable, path) }
  }

  /// Adds one variable.
  public mutating func add(_ variable: Variable, _ name: String) throws(DeviceError) {
    let values: [Float] = try variable.scalars()
    file.entries[name] = Safetensors.Entry(values, shape: variable.type.shape.dimensions)
  }

  /// Adds an optimizer's state: tensors by parameter number, step counts as text.
  public mutating func add(_ optimizer: any Optimizer, _ name: String) throws(DeviceError) {
    let state = try optimizer.state
    for (tensor, variables) in state.tensors {
      for (index, variable) in variables.enumerated() {
        try add(variable, "optimizer/\(name)/\(tensor)/\(index)")
      }
    }
    file.metadata["optimizer/\(name)/steps"] = state.steps.map(String.init).joined(separator: ",")
  }

  /// Puts parameters and buffers back.
  ///
  /// A pruned model also takes a supernet's tensors, under the names they had there and, where it has
  /// only a part of one, of the size it had there.
  /// - Returns: Paths the checkpoint has no tensor for.
  @discardableResult
  public func restore(_ model: Module, name: String = "checkpoint", allowsMissing: Bool = false)
    throws -> [String]
  {
    // One name may mean a tensor of the pruned model and another one of the supernet, so the file is
    // taken as a whole to be of the one or the other.
    func absent(_ paths: [(path: String, variable: Variable)]) -> Int {
      paths.count { file.entries[$0.path] == nil }
    }
    let (own, inSupernet) = (model.namedVariables(), model.namedVariables(inSupernet: true))
    let source = absent(inSupernet) <= absent(own) ? inSupernet : own
    let windows = model.windows
    var missing: [String] = []
    for (entry, (path, _)) in zip(source, own) {
      if file.entries[entry.path] == nil {
        missing.append(path)
      } else {
        try restore(
          entry.variable, entry.path, name, window: windows[ObjectIdentifier(entry.variable)])
      }
    }
    if !missing.isEmpty && !allowsMissing {
      throw CheckpointMismatch(
        message: "\(name): has no tensor \(missing[0])"
          + (missing.count > 1 ? " and \(missing.count - 1) more" : "")
          + "; the checkpoint is of another model or architecture")
    }
    return missing
  }

  /// Puts one variable back.
  ///
  /// - Parameter window: Where it was cut out of a larger tensor, which may stand in its place.
  public func restore(
    _ variable: Variable, _ path: String, _ name: String = "checkpoint",
    window: TensorWindow? = nil
  ) throws {
    guard let entry = file.entries[path] else {
      throw CheckpointMismatch(message: "\(name): has no tensor \(path)")
    }
    if let window, let values = entry.floats, entry.shape == window.shape.dimensions {
      return try variable.assign(window.elements(of: values))
    }
    guard let values = entry.floats, entry.shape == variable.type.shape.dimensions else {
      throw CheckpointMismatch(
        message: "\(name): tensor \(path) is \(entry.elementType.rawValue) \(entry.shape), "
          + "expected F32 \(variable.type.shape)")
    }
    try variable.assign(values)
  }

  /// Puts an optimizer's state back.
  public func restore(_ optimizer: any Optimizer, _ name: String) throws {
    let state = try optimizer.state
    for (tensor, variables) in state.tensors {
      for (index, variable) in variables.enumerated() {
        try restore(variable, "optimizer/\(name)/\(tensor)/\(index)")
      }
    }
    let steps = (file.metadata["optimizer/\(name)/steps"] ?? "")
      .split(separator: ",").compactMap { Int($0) }
    guard steps.count == state.steps.count else {
      throw CheckpointMismatch(
        message: "optimizer \(name): \(steps.count) step counts for \(state.steps.count) parameters"
      )
    }
    try optimizer.restoreSteps(steps)
  }
}

/// A checkpoint that does not fit the model.
public struct CheckpointMismatch: Error, CustomStringConvertible {
  /// What does not fit.
  public let message: String
  /// One line for people.
  public var description: String { message }
}
