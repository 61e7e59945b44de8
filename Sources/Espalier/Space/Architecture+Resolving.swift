extension Architecture {
  /// Understands every choice in the terms of a space.
  ///
  /// Keys must be those of the space. NNI's automatic keys (`LayerChoice1`, `InputChoice3`, numbered
  /// through all choices of a program) are matched in the order of their numbers with the choices
  /// that no other key names, in order of declaration, when number and kinds agree.
  ///
  /// - Parameter space: The space's choices in order of declaration, each key once.
  /// - Returns: The understood choices by the space's keys.
  public func resolved(
    against space: [ChoiceDescription]
  ) throws(ArchitectureError) -> [String: ResolvedChoice] {
    let keys = try keysBySpaceKey(space)
    var choices: [String: ResolvedChoice] = [:]
    for description in space {
      guard let key = keys[description.key], let value = self[key] else { continue }
      choices[description.key] = try ChoiceResolver(
        file: source, key: key, description: description
      ).resolve(value)
    }
    return choices
  }

  /// The architecture's own key for each key of the space.
  private func keysBySpaceKey(
    _ space: [ChoiceDescription]
  ) throws(ArchitectureError) -> [String: String] {
    let spaceKeys = Set(space.map(\.key))
    var result: [String: String] = [:]
    for key in keys where spaceKeys.contains(key) { result[key] = key }
    let unexpected = keys.filter { !spaceKeys.contains($0) }
    let missing = space.filter { result[$0.key] == nil }
    if unexpected.isEmpty && missing.isEmpty { return result }

    let automatic = unexpected.compactMap(AutomaticKey.init)
    if !automatic.isEmpty && automatic.count == unexpected.count && !missing.isEmpty {
      // A shifted counter can hit keys of the space by accident, so all automatic keys take part.
      let automaticInSpace = Set(space.map(\.key).filter { AutomaticKey($0) != nil })
      let file = keys.compactMap(AutomaticKey.init).sorted { $0.number < $1.number }
      let open = space.filter { result[$0.key] == nil || automaticInSpace.contains($0.key) }
      let isOrdered = Set(file.map(\.number)).count == file.count
      guard isOrdered, file.map(\.kind) == open.map(\.kind) else {
        throw .automaticKeys(
          file: source, found: counted(file.map(\.kind)), expected: counted(open.map(\.kind)))
      }
      for (key, description) in zip(file, open) { result[description.key] = key.text }
      return result
    }
    let reported = unexpected.prefix(20)
    var nearest: [String: String] = [:]
    for key in reported { nearest[key] = nearestName(to: key, in: space.map(\.key)) }
    throw .keys(
      file: source, missing: missing.map(\.key), unexpected: unexpected, nearest: nearest)
  }

  private func counted(_ kinds: [ChoiceDescription.Kind]) -> String {
    func count(_ kind: ChoiceDescription.Kind) -> Int { kinds.count { $0 == kind } }
    let values = count(.value) > 0 ? ", \(count(.value)) value choices" : ""
    let order = kinds.prefix(12).map { $0.rawValue.prefix(1).uppercased() }.joined()
    return "\(count(.layer)) layer and \(count(.input)) input choices\(values)"
      + " (in order \(order)\(kinds.count > 12 ? "..." : ""))"
  }
}

/// A key that NNI gave by itself: class name and a number that counts all choices of a program.
private struct AutomaticKey {
  let text: String
  let kind: ChoiceDescription.Kind
  let number: Int

  init?(_ text: String) {
    for (prefix, kind) in [("LayerChoice", ChoiceDescription.Kind.layer), ("InputChoice", .input)]
    where text.hasPrefix(prefix) {
      let digits = text.utf8.dropFirst(prefix.utf8.count)
      guard !digits.isEmpty, digits.allSatisfy(isDigit), let number = Int(Substring(digits)) else {
        return nil
      }
      self.text = text
      self.kind = kind
      self.number = number
      return
    }
    return nil
  }
}
