/// What an architecture must know about one choice of a space: no layers, only names.
public struct ChoiceDescription: Equatable, Sendable {
  /// What is chosen.
  public enum Kind: String, Sendable {
    /// One of several layers.
    case layer
    /// Some of several inputs.
    case input
    /// One of several numbers or names: a size, a depth, a rate.
    case value
  }

  /// The key in the mapping.
  public let key: String
  /// What is chosen.
  public let kind: Kind
  /// The candidates' names in order.
  ///
  /// A list's candidates are named "0", "1" and so on; a name stays with its candidate when others
  /// are removed. Inputs without a name have the name "".
  public let candidateNames: [String]
  /// How many candidates a choice that is not empty must take; nil for any number.
  public let chosenCount: Int?
  /// Other names of candidates, understood on reading.
  public let synonyms: [String: String]
  /// The candidates in the order in which integers and booleans count, where an older system had
  /// another order; nil for the order of `candidateNames`.
  public let integerNames: [String]?

  /// Creates a description.
  ///
  /// - Parameters:
  ///   - key: The key in the mapping.
  ///   - kind: What is chosen.
  ///   - candidateNames: The candidates' names in order.
  ///   - chosenCount: How many must be taken; nil for any number.
  ///   - synonyms: Other names of candidates.
  ///   - integerNames: The order in which integers and booleans count, as candidate names.
  public init(
    key: String, kind: Kind, candidateNames: [String], chosenCount: Int? = nil,
    synonyms: [String: String] = [:], integerNames: [String]? = nil
  ) {
    self.key = key
    self.kind = kind
    self.candidateNames = candidateNames
    self.chosenCount = chosenCount
    self.synonyms = synonyms
    self.integerNames = integerNames
  }
}

/// A choice of an architecture, understood.
public struct ResolvedChoice: Equatable, Sendable {
  /// The positions of the candidates that run, ascending.
  public let active: [Int]
  /// A weight for every candidate of a soft choice, nil for a hard one.
  ///
  /// Candidates of weight 0 do not run.
  public let weights: [Double]?

  /// Creates a hard choice.
  public init(active: [Int]) {
    self.active = active.sorted()
    weights = nil
  }

  /// Creates a soft choice from a weight for every candidate.
  public init(weights: [Double]) {
    active = weights.indices.filter { weights[$0] != 0 }
    self.weights = weights
  }
}

extension ChoiceDescription {
  /// The value that an export holds: names when there are any, distinct and not all digits, else
  /// positions; a single one without its list, `[]` for none; weights as they are.
  ///
  /// A number as a choice is its text, `"16"`, in spite of its digits: a bare 1 among 8, 16 and 32
  /// would be read as a number by people.
  public func exported(_ choice: ResolvedChoice) -> ChoiceValue {
    if let weights = choice.weights { return .weights(weights) }
    let active = choice.active
    precondition(
      active.allSatisfy { candidateNames.indices.contains($0) },
      "\(key): candidates \(active) of \(candidateNames.count)")
    if active.isEmpty { return .none }
    let isDistinct = Set(candidateNames).count == candidateNames.count
    let isDigits = candidateNames.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(isDigit) }
    if isDistinct && (!isDigits || kind == .value) && !candidateNames.contains("") {
      let names = active.map { candidateNames[$0] }
      return names.count == 1 ? .name(names[0]) : .names(names)
    }
    return active.count == 1 ? .index(active[0]) : .indices(active)
  }
}

func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
