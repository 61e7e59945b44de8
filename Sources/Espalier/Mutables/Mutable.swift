/// A place in a model where something is to be chosen.
public protocol Mutable: Module {
  /// The key given by the user; nil takes the property path.
  var explicitKey: String? { get }
  /// What is chosen from what.
  func description(key: String) -> ChoiceDescription
  /// Where the decision for this choice's key stands.
  var box: DecisionBox { get set }
  /// Keeps what the choice says and forgets everything else.
  func apply(_ choice: ResolvedChoice)
  /// What was applied, or nil.
  var applied: ResolvedChoice? { get }
  /// Sets of active candidates that together show everything that is planned for it, none left out
  /// but the empty one.
  var rehearsalVariants: [[Int]] { get }
}

/// The decision that all choices of one key share.
public final class DecisionBox {
  /// The key, once the choice belongs to a space.
  public internal(set) var key: String?
  /// The decision in force.
  public internal(set) var decision: Decision?
  /// The space it belongs to.
  weak var space: SearchSpace?

  init() {}
}

extension Mutable {
  /// The decision in force, after checking that the choice belongs to the space being searched.
  func currentDecision(default first: @autoclosure () -> Decision) -> Decision {
    if let active = SearchSpace.active, box.space !== active {
      preconditionFailure(
        "\(type(of: self)) is not part of the search space: create choices in init, not in the forward pass"
      )
    }
    return box.decision ?? first()
  }
}
