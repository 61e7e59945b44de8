import EspalierNN

/// Turns one value of an architecture into candidates of one choice.
struct ChoiceResolver {
  let file: String
  let key: String
  let description: ChoiceDescription

  private var names: [String] { description.candidateNames }

  func resolve(_ value: ChoiceValue) throws(ArchitectureError) -> ResolvedChoice {
    let active: [Int]
    switch value {
    case .none:
      active = []
    case .name(let name):
      active = [try position(ofName: name, in: value)]
    case .names(let list):
      active = try list.mapThrowing { name throws(ArchitectureError) in
        try position(ofName: name, in: value)
      }
    case .index(let index):
      active = [try position(ofInteger: index, in: value)]
    case .indices(let list):
      active = try list.mapThrowing { index throws(ArchitectureError) in
        try position(ofInteger: index, in: value)
      }
    case .multiHot(let flags):
      active = try positions(of: flags, in: value)
    case .weights(let weights):
      guard weights.count == names.count else {
        throw error(value, "has \(weights.count) weights for \(names.count) candidates")
      }
      return ResolvedChoice(weights: weights)
    case .malformed(.number(let number)) where names.contains("\(number)"):
      throw error(value, "is a number, numbers are written as text: \"\(number)\"")
    case .malformed:
      throw error(value, "is no name, index, list of these, list of booleans or list of weights")
    }
    guard Set(active).count == active.count else { throw duplicate(value) }
    if let count = description.chosenCount, !active.isEmpty, active.count != count {
      throw error(value, "takes \(active.count), expected \(count)")
    }
    if description.kind == .value && active.count != 1 {
      throw error(value, "takes \(active.count), expected exactly 1")
    }
    return ResolvedChoice(active: active)
  }

  private func position(
    ofName name: String, in value: ChoiceValue
  ) throws(ArchitectureError) -> Int {
    let name = names.contains(name) ? name : description.synonyms[name] ?? name
    let found = names.indices.filter { names[$0] == name }
    if found.count == 1 { return found[0] }
    if found.count > 1 {
      throw error(value, "means \(found.count) candidates of that name, give the index")
    }
    // NNI 2 writes the position of a candidate from a list as a text. Where some names are digits
    // they are identities, and a missing one was removed.
    let isNumber = !name.isEmpty && name.utf8.allSatisfy(isDigit)
    let hasNumbers = names.contains { !$0.isEmpty && $0.utf8.allSatisfy(isDigit) }
    if isNumber, !hasNumbers, let index = Int(name) {
      return try position(ofInteger: index, in: value)
    }
    let nearest = nearestName(to: name, in: names)
    throw error(
      value, "names an unknown candidate" + (nearest.map { " (did you mean '\($0)'?)" } ?? ""))
  }

  private func position(
    ofInteger index: Int, in value: ChoiceValue
  ) throws(ArchitectureError) -> Int {
    if let order = description.integerNames {
      guard order.indices.contains(index), let found = names.firstIndex(of: order[index]) else {
        throw error(value, "is out of range; integers count in the order \(counted(order))")
      }
      return found
    }
    // Among numbers an integer is a position too, unless it could be meant as one of them.
    if description.kind == .value, let own = names.firstIndex(of: "\(index)"), own != index {
      let other = names.indices.contains(index) ? ", \"\(names[index])\" for position \(index)" : ""
      throw error(
        value, "may be a number or a position, write \"\(index)\" for the number\(other)")
    }
    guard names.indices.contains(index) else {
      throw error(value, "is out of range, expected 0 to \(names.count - 1)")
    }
    return index
  }

  private func positions(
    of flags: [Bool], in value: ChoiceValue
  ) throws(ArchitectureError) -> [Int] {
    let chosen = flags.indices.filter { flags[$0] }
    if let order = description.integerNames, order.count == flags.count {
      return try chosen.mapThrowing { index throws(ArchitectureError) in
        try position(ofInteger: index, in: value)
      }
    }
    guard flags.count == names.count else {
      throw error(value, "has \(flags.count) booleans for \(names.count) candidates")
    }
    return chosen
  }

  private func duplicate(_ value: ChoiceValue) -> ArchitectureError {
    var reason = "names a candidate twice"
    if case .indices(let list) = value, list.count == names.count,
      list.allSatisfy({ $0 == 0 || $0 == 1 })
    {
      let flags = list.map { $0 == 1 ? "true" : "false" }.joined(separator: ", ")
      reason += "; integers are indices, write [\(flags)] for one flag a candidate"
    }
    return error(value, reason)
  }

  private func counted(_ order: [String]) -> String {
    order.enumerated().map { "\($0) \($1)" }.joined(separator: ", ")
  }

  private func error(_ value: ChoiceValue, _ reason: String) -> ArchitectureError {
    let text = value.json.compactText
    let found = text.count > 80 ? text.prefix(80) + "..." : text[...]
    let isNamed = Set(names).count == names.count
    return .value(
      file: file, key: key, found: String(found), reason: reason,
      valid: isNamed ? names : names.indices.map { String($0) })
  }
}

extension Sequence {
  /// `map` that keeps the type of the error.
  fileprivate func mapThrowing<T>(
    _ transform: (Element) throws(ArchitectureError) -> T
  ) throws(ArchitectureError) -> [T] {
    var result: [T] = []
    for element in self { result.append(try transform(element)) }
    return result
  }
}
