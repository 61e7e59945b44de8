/// A part of a model: parameters, buffers and other modules, found by reflection.
///
/// Stored properties that are a `Parameter`, a `Buffer`, a `Module`, an array or dictionary of modules or an
/// optional of these are found in the order of declaration, a superclass first; anything else is
/// not looked into. A container of another kind overrides `children`.
///
/// Discovery runs when an optimizer, a search space or a checkpoint is made, never in a step. Do not
/// use `lazy` or references to parents in modules.
open class Module {
  /// A module without children; subclasses add stored properties.
  public init() {}

  /// What the module holds, by name.
  open var children: [(name: String, member: any ModuleMember)] { reflectedChildren }

  /// The children under the names they had in a supernet; a pruned choice differs from `children`.
  open var supernetChildren: [(name: String, member: any ModuleMember)] { children }

  /// What reflection finds among the stored properties.
  public final var reflectedChildren: [(name: String, member: any ModuleMember)] {
    var found: [(String, any ModuleMember)] = []
    var mirrors: [Mirror] = []
    var mirror: Mirror? = Mirror(reflecting: self)
    while let current = mirror {
      mirrors.insert(current, at: 0)
      mirror = current.superclassMirror
    }
    for mirror in mirrors {
      for (label, value) in mirror.children {
        guard let label else { continue }
        Module.collect(label, value, into: &found)
      }
    }
    return found
  }

  private static func collect(
    _ name: String, _ value: Any, into found: inout [(String, any ModuleMember)]
  ) {
    if let member = value as? any ModuleMember {
      found.append((name, member))
      return
    }
    let mirror = Mirror(reflecting: value)
    switch mirror.displayStyle {
    case .optional:
      if let some = mirror.children.first { collect(name, some.value, into: &found) }
    case .collection:
      for (index, element) in mirror.children.enumerated() {
        collect("\(name).\(index)", element.value, into: &found)
      }
    case .dictionary:
      // Pairs in the order of their keys.
      let pairs = mirror.children.compactMap { child -> (String, Any)? in
        let pair = Array(Mirror(reflecting: child.value).children)
        guard pair.count == 2, let key = pair[0].value as? String else { return nil }
        return (key, pair[1].value)
      }
      for (key, element) in pairs.sorted(by: { $0.0 < $1.0 }) {
        collect("\(name).\(key)", element, into: &found)
      }
    default: break
    }
  }
}

/// What can be a child of a module.
public protocol ModuleMember: AnyObject {}

extension Module: ModuleMember {}
extension Parameter: ModuleMember {}
extension Buffer: ModuleMember {}

/// A module of one tensor: what stands in a `Sequential` or among the candidates of a choice.
public protocol Layer: Module {
  /// Applies the layer.
  func callAsFunction(_ x: Tensor) -> Tensor
}

extension Module {
  /// This module and all below it with their paths, each once, parents first; the root's path is "".
  public var namedModules: [(path: String, module: Module)] {
    members(inSupernet: false).compactMap { path, member in
      (member as? Module).map { (path, $0) }
    }
  }

  /// All parameters with their paths, such as `conv1.weight`; a shared one has its first path.
  public var namedParameters: [(path: String, parameter: Parameter)] {
    members(inSupernet: false).compactMap { path, member in
      (member as? Parameter).map { (path, $0) }
    }
  }

  /// All buffers with their paths, such as `bn.running_mean`.
  public var namedBuffers: [(path: String, buffer: Buffer)] {
    members(inSupernet: false).compactMap { path, member in
      (member as? Buffer).map { (path, $0) }
    }
  }

  /// Parameters and buffers by path.
  ///
  /// - Parameter inSupernet: Under the names that a pruned model's tensors had in the supernet.
  public func namedVariables(inSupernet: Bool = false) -> [(path: String, variable: Variable)] {
    members(inSupernet: inSupernet).compactMap { path, member in
      if let parameter = member as? Parameter { return (path, parameter.variable) }
      return (member as? Buffer).map { (path, $0.variable) }
    }
  }

  /// Where variables were cut out of larger ones.
  var windows: [ObjectIdentifier: TensorWindow] {
    var result: [ObjectIdentifier: TensorWindow] = [:]
    for (_, parameter) in namedParameters {
      result[ObjectIdentifier(parameter.variable)] = parameter.window
    }
    for (_, buffer) in namedBuffers { result[ObjectIdentifier(buffer.variable)] = buffer.window }
    return result
  }

  /// All parameters, in the order of `namedParameters`.
  public var parameters: [Parameter] { namedParameters.map(\.parameter) }

  /// Number of parameters: the sum of their elements.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.shape.count } }

  private func members(inSupernet: Bool) -> [(String, any ModuleMember)] {
    var found: [(String, any ModuleMember)] = []
    var visited: Set<ObjectIdentifier> = []
    func walk(_ path: String, _ module: Module) {
      guard visited.insert(ObjectIdentifier(module)).inserted else { return }
      found.append((path, module))
      for (name, member) in inSupernet ? module.supernetChildren : module.children {
        let full = path.isEmpty ? name : name.isEmpty ? path : path + "." + name
        if let module = member as? Module {
          walk(full, module)
        } else if visited.insert(ObjectIdentifier(member)).inserted {
          found.append((full, member))
        }
      }
    }
    walk("", self)
    return found
  }
}
