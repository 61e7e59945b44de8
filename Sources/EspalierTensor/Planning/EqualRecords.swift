/// Finds records of a block that compute the same: the pools of one source on all its edges and
/// their batch norm, for example.
///
/// Merging them before the block is differentiated merges their backward too: the gradients of all
/// edges are summed before they go through the pool.
struct EqualRecords {
  private struct Key: Hashable {
    let operation: Int32
    let operands: [Int32]
    let barrier: Int32

    init(_ record: Record, _ operands: [Int32]) {
      operation = record.operation
      self.operands = operands
      barrier = record.barrier
    }
  }

  /// The first result of each kind of record.
  private var known: [Key: Int32] = [:]
  /// Values that leave the block: each needs a place of its own.
  private let results: Set<Int32>

  init(results: [Int32]) { self.results = Set(results) }

  /// The first result of an earlier record that is equal; operands by their new numbers.
  func find(_ record: Record, _ operands: [Int32]) -> Int32? {
    guard isMergeable(record) else { return nil }
    let own = record.firstResult..<record.firstResult + record.resultCount
    guard !own.contains(where: results.contains) else { return nil }
    return known[Key(record, operands)]
  }

  /// Remembers a record whose results begin at `firstResult`.
  mutating func note(_ record: Record, _ operands: [Int32], _ firstResult: Int32) {
    guard isMergeable(record) else { return }
    known[Key(record, operands)] = firstResult
  }

  /// A scalar's value is unknown here, so only operations without any can be equal.
  private func isMergeable(_ record: Record) -> Bool {
    !record.traits.hasEffect && record.scalarCount == 0
      && type(of: OperationTable.shared[record.operation]).mergesBeforeGradients
  }
}
