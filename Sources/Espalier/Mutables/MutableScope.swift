/// A part of a model that controllers treat as a unit: a cell, a node.
///
/// Scopes nest, carry a key that `InputChoice` may name, and appear in no decision and no export.
open class MutableScope: Module {
  /// The scope's key.
  public let key: String

  /// A scope of the given key.
  public init(key: String) { self.key = key }

  /// Runs a part of the forward pass as this scope.
  public func scoped<R>(_ body: () throws -> R) rethrows -> R {
    defer { ChoiceMarks.endScope() }
    return try body()
  }
}
