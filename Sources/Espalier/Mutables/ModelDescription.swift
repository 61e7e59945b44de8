extension Module: CustomStringConvertible {
  /// The model as an indented tree for people: keys, candidates, numbers of parameters and, once an
  /// architecture was applied, what was chosen; the totals come last.
  ///
  /// A part without choices is one line. Of choices that share a key the first one lists the
  /// candidates.
  public var description: String {
    var tree = ModelTree()
    return tree.text(of: self)
  }
}

/// Writes a model line by line.
private struct ModelTree {
  private var lines: [String] = []
  private var shown: Set<ObjectIdentifier> = []
  private var keys: Set<String> = []

  mutating func text(of model: Module) -> String {
    lines.append("\(type(of: model))")
    if let choice = model as? any Mutable {
      lines = [line(of: choice, path: "")]
    }
    addChildren(of: model, path: "", depth: 1)
    let choices = keys.count == 1 ? "1 choice" : "\(keys.count) choices"
    lines.append("total: \(choices), \(parameters(model.parameterCount))")
    return lines.joined(separator: "\n")
  }

  private mutating func add(
    _ member: any ModuleMember, name: String, path: String, depth: Int
  ) {
    let isNew = shown.insert(ObjectIdentifier(member)).inserted
    var text = String(repeating: "  ", count: depth) + (name.isEmpty ? "" : "\(name): ")
    guard isNew else {
      lines.append(text + "\(type(of: member)), shared with the one above")
      return
    }
    guard let module = member as? Module else {
      if let parameter = member as? Parameter {
        lines.append(text + "Parameter \(parameter.shape), \(parameters(parameter.shape.count))")
      }
      return
    }
    if let choice = module as? any Mutable {
      let isFirst = !keys.contains(key(of: choice, path))
      text += line(of: choice, path: path)
      lines.append(text + (isFirst || choice is InputChoice ? "" : ", candidates as above"))
      if isFirst || holdsChoices(module) { addChildren(of: module, path: path, depth: depth + 1) }
    } else if holdsChoices(module) {
      let scope = (module as? MutableScope).map { " '\($0.key)'" } ?? ""
      lines.append(text + "\(type(of: module))\(scope)")
      addChildren(of: module, path: path, depth: depth + 1)
    } else {
      let count = module.parameterCount
      lines.append(text + "\(type(of: module))" + (count == 0 ? "" : ", \(parameters(count))"))
    }
  }

  private mutating func addChildren(of module: Module, path: String, depth: Int) {
    // A pruned choice still names the candidate that it kept.
    let children = module is any Mutable ? module.supernetChildren : module.children
    for (name, member) in children {
      let full = path.isEmpty ? name : name.isEmpty ? path : path + "." + name
      add(member, name: name, path: full, depth: depth)
    }
  }

  private func holdsChoices(_ module: Module) -> Bool {
    module.namedModules.contains { $0.module !== module && $0.module is any Mutable }
  }

  private func key(of choice: any Mutable, _ path: String) -> String {
    choice.box.key ?? choice.explicitKey ?? path
  }

  /// Kind and key, of how many is chosen, and what was.
  private mutating func line(of choice: any Mutable, path: String) -> String {
    let key = key(of: choice, path)
    keys.insert(key)
    var text = "\(type(of: choice)) '\(key)'"
    let description = choice.description(key: key)
    if let input = choice as? InputChoice {
      let number = input.chosenCount.map(String.init) ?? "any number"
      text += ", \(number) of \(counted(input.count, "input"))"
      let names = input.candidateNames.filter { $0 != InputChoice.noKey }
      if !names.isEmpty { text += " (\(names.joined(separator: ", ")))" }
    } else if choice.applied == nil, description.kind == .value {
      text += ", one of \(description.candidateNames.joined(separator: ", "))"
    } else if choice.applied == nil {
      text += ", \(counted(description.candidateNames.count, "candidate"))"
    }
    if choice.parameterCount > 0 { text += ", \(parameters(choice.parameterCount))" }
    if let applied = choice.applied { text += "; chosen: \(chosen(applied, of: choice, key))" }
    return text
  }

  private func chosen(_ applied: ResolvedChoice, of choice: any Mutable, _ key: String) -> String {
    if applied.active.isEmpty { return "none" }
    // A pruned layer choice has only the candidates that were chosen, an input choice has all.
    let names = choice.description(key: key).candidateNames
    return applied.active.enumerated().map { position, index in
      let name = choice is LayerChoice ? names[position] : names[index]
      let label = name.isEmpty ? "\(index)" : name
      return applied.weights.map { "\($0[index]) \(label)" } ?? label
    }.joined(separator: ", ")
  }

  private func counted(_ count: Int, _ noun: String) -> String {
    count == 1 ? "1 \(noun)" : "\(count) \(noun)s"
  }

  /// `1,930,618 parameters`.
  private func parameters(_ count: Int) -> String {
    var digits = String(count)
    var position = digits.count - 3
    while position > 0 {
      digits.insert(",", at: digits.index(digits.startIndex, offsetBy: position))
      position -= 3
    }
    return digits + (count == 1 ? " parameter" : " parameters")
  }
}
