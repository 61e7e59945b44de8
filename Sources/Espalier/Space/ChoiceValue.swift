import EspalierNN

/// What an architecture says about one choice, in the form in which it was said.
public enum ChoiceValue: Equatable, Sendable {
  /// No candidate: `[]`.
  case none
  /// One candidate by its name.
  case name(String)
  /// One candidate by its position.
  case index(Int)
  /// Several candidates by name.
  case names([String])
  /// Several candidates by position.
  case indices([Int])
  /// Every candidate, chosen or not.
  case multiHot([Bool])
  /// A weight for every candidate: a soft choice.
  case weights([Double])
  /// What is no form of a choice; kept so that the error can name the valid candidates.
  case malformed(JSONValue)

  /// Sorts a JSON value into one of the forms.
  ///
  /// A whole number with a fraction of zero counts as a position. A list in a list, which NNI's
  /// FBNet writes by mistake, is opened when it holds booleans or numbers with a fraction: their
  /// length is checked later in any case.
  public init(_ json: JSONValue) {
    switch json {
    case .string(let name): self = .name(name)
    case .integer(let index): self = .index(index)
    case .number(let number): self = Int(exactly: number).map { .index($0) } ?? .malformed(json)
    case .bool(let isChosen): self = .multiHot([isChosen])
    case .array(let values): self = ChoiceValue(list: values)
    case .null, .object: self = .malformed(json)
    }
  }

  private init(list: [JSONValue]) {
    if list.isEmpty {
      self = .none
      return
    }
    if list.count == 1, case .array(let inner) = list[0] {
      switch ChoiceValue(list: inner) {
      case .multiHot(let flags): self = .multiHot(flags)
      case .weights(let weights): self = .weights(weights)
      default: self = .malformed(.array(list))
      }
      return
    }
    var names: [String] = []
    var indices: [Int] = []
    var flags: [Bool] = []
    var weights: [Double] = []
    for value in list {
      switch value {
      case .string(let name): names.append(name)
      case .bool(let flag): flags.append(flag)
      case .integer(let index):
        indices.append(index)
        weights.append(Double(index))
      case .number(let weight): weights.append(weight)
      case .null, .array, .object: break
      }
    }
    if names.count == list.count {
      self = .names(names)
    } else if flags.count == list.count {
      self = .multiHot(flags)
    } else if indices.count == list.count {
      self = .indices(indices)
    } else if weights.count == list.count {
      // At least one has a fraction; some writers print 0.0 as 0.
      self = .weights(weights)
    } else {
      self = .malformed(.array(list))
    }
  }

  /// The value as JSON.
  public var json: JSONValue {
    switch self {
    case .none: .array([])
    case .name(let name): .string(name)
    case .index(let index): .integer(index)
    case .names(let names): .array(names.map { .string($0) })
    case .indices(let indices): .array(indices.map { .integer($0) })
    case .multiHot(let flags): .array(flags.map { .bool($0) })
    case .weights(let weights): .array(weights.map { .number($0) })
    case .malformed(let json): json
    }
  }
}
