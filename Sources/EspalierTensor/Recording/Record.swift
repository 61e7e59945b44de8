/// One recorded operation: indices into the recorder's arrays.
struct Record {
  var operation: Int32
  var firstOperand: Int32
  var operandCount: Int32
  /// Results are numbered from here on.
  var firstResult: Int32
  var resultCount: Int32
  var firstScalar: Int32
  var scalarCount: Int32
  var traits: OperationTraits
  /// How many barriers the record stands behind: an odd number within a custom gradient's evaluation.
  ///
  /// Records are merged, fused and reordered only with records of the same number.
  var barrier: Int32 = 0
  /// Whether a record with an effect has run.
  var hasRun = false

  var operandRange: Range<Int> { Int(firstOperand)..<Int(firstOperand + operandCount) }
  var resultRange: Range<Int32> { firstResult..<firstResult + resultCount }
  var scalarRange: Range<Int> { Int(firstScalar)..<Int(firstScalar + scalarCount) }
}

/// What a flush must know of an operation without looking it up.
struct OperationTraits {
  /// Whether operands are written in place.
  var hasEffect = false
  /// Whether the results count as needing a gradient whatever the operands are.
  var carriesGradient = false
  /// Bit k: operand k lets gradients through; the last bit stands for all further ones.
  private var differentiable: UInt32 = 0

  init() {}

  init<O: Operation>(_ operation: O, operandCount: Int) {
    hasEffect = operation.hasEffect
    carriesGradient = (operation as? any HandsOn)?.carriesGradient ?? false
    for k in 0..<min(operandCount, 32) where operation.isDifferentiable(at: k) {
      differentiable |= 1 << UInt32(k)
    }
  }

  func isDifferentiable(at k: Int) -> Bool { differentiable & (1 << UInt32(min(k, 31))) != 0 }
}

/// Where the record is cut into blocks.
struct Mark {
  /// The record that follows the mark.
  var position: Int32
  /// What begins here, for the memory bound of a position: a hash of the choice's key and occurrence.
  var identity: UInt64
  /// A cut, or only the end of a scope at which a long block may be cut.
  var isCut: Bool
}
