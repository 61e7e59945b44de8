/// A mapping from the key of each choice to what is chosen: the result of a search.
///
/// It knows no space; `resolved(against:)` compares it with one. Two architectures are equal when
/// they say the same, in whatever order and wherever they come from.
public struct Architecture: Sendable {
  /// The keys in the order in which they were read or added.
  public private(set) var keys: [String] = []
  /// The file or the like it was read from, for messages.
  public var source = "architecture"
  private var values: [String: ChoiceValue] = [:]

  /// Creates an empty architecture.
  public init() {}

  /// What is said about a choice; nil when nothing is, and setting nil removes it.
  public subscript(key: String) -> ChoiceValue? {
    get { values[key] }
    set {
      switch (values[key], newValue) {
      case (nil, .some): keys.append(key)
      case (.some, nil): keys.removeAll { $0 == key }
      default: break
      }
      values[key] = newValue
    }
  }

  /// Exports choices of a space; see `ChoiceDescription.exported(_:)` for the form of each.
  ///
  /// - Parameters:
  ///   - choices: What is chosen, by key; every choice of the space must be there.
  ///   - space: The space's choices.
  public init(_ choices: [String: ResolvedChoice], in space: [ChoiceDescription]) {
    for description in space {
      guard let choice = choices[description.key] else {
        preconditionFailure("Architecture: nothing chosen for '\(description.key)'")
      }
      self[description.key] = description.exported(choice)
    }
  }
}

extension Architecture: Equatable {
  /// Compares keys and values, not their order or source.
  public static func == (left: Architecture, right: Architecture) -> Bool {
    left.values == right.values
  }
}

extension Architecture: ExpressibleByDictionaryLiteral {
  /// Creates an architecture; the last of equal keys counts.
  public init(dictionaryLiteral elements: (String, ChoiceValue)...) {
    for (key, value) in elements { self[key] = value }
  }
}
