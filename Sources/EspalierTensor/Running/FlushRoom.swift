/// A block of the flush that is going on: ranges of the lists in `FlushRoom`.
struct BlockSpan {
  /// Which records, of `FlushRoom.records`.
  var records = 0..<0
  /// Values from outside, numbered by first use.
  var operands = 0..<0
  /// Values used later or demanded.
  var results = 0..<0
  var isDifferentiated = false
  /// The index of the loss among the results.
  var lossResult: Int?
  /// What began here (`Mark.identity`).
  var position: UInt64 = 0
  var device = Device.cpu
}

/// What a flush notes, in lists and tables whose room is kept.
///
/// A step that was seen before allocates next to nothing. Used under the engine's lock, by one flush
/// at a time.
final class FlushRoom {
  /// Flushes so far, to tell notes in `Contents` apart.
  var flushCount = 0

  /// Records that are needed, in order.
  @exclusivity(unchecked) var records: [Int32] = []
  @exclusivity(unchecked) var blocks: [BlockSpan] = []
  @exclusivity(unchecked) var operands: [Int32] = []
  @exclusivity(unchecked) var results: [Int32] = []
  /// Beside `operands`: whether a gradient is wanted.
  @exclusivity(unchecked) var wantsGradient: [Bool] = []
  /// Beside `results`: whether a gradient comes in through it.
  @exclusivity(unchecked) var receivesUpstream: [Bool] = []

  // Tables by record, by value, by section.
  let neededRecords = StampedSet()
  let neededValues = StampedSet()
  let neededSections = StampedSet()
  /// The last block that makes or reads a value.
  let seenIn = StampedTable<Int32>()
  /// The block that makes a value.
  let blockOf = StampedTable<Int32>()
  let isResult = StampedSet()
  let reaches = StampedSet()
  /// Numbers of values within a block.
  let numbers = StampedTable<Int32>()
  /// Where values lie while the flush runs.
  let places = StampedTable<Place>()
  /// Values that outlive the flush.
  let outlives = StampedSet()
  /// Where the gradient of a value is summed.
  let sums = StampedTable<Place>()
  /// The place of a value among the sources of the gradient.
  let sourceIndex = StampedTable<Int32>()

  /// The words of all blocks' scalars, one block after the other.
  @exclusivity(unchecked) var words: [UInt32] = []
  @exclusivity(unchecked) var spaces: [ResolvedSpace] = []
  /// Beside `spaces`: whether an operand or an upstream gradient is an exact zero.
  @exclusivity(unchecked) var isAbsent: [Bool] = []

  func clearBlocks() {
    blocks.removeAll(keepingCapacity: true)
    operands.removeAll(keepingCapacity: true)
    results.removeAll(keepingCapacity: true)
    wantsGradient.removeAll(keepingCapacity: true)
    receivesUpstream.removeAll(keepingCapacity: true)
    words.removeAll(keepingCapacity: true)
  }

  /// The lists of one block, for the planner.
  func block(_ span: BlockSpan) -> Block {
    Block(
      records: Array(records[span.records]), operands: Array(operands[span.operands]),
      results: Array(results[span.results]), isDifferentiated: span.isDifferentiated,
      wantsGradient: Array(wantsGradient[span.operands]),
      receivesUpstream: Array(receivesUpstream[span.results]), lossResult: span.lossResult,
      device: span.device)
  }
}

/// Where a value or a gradient lies while a flush runs.
enum Place: BitwiseCopyable {
  /// So many bytes into the device's arena.
  case arena(Int)
  /// So many bytes into the arena's part for gradients that cross blocks.
  case row(Int)
  /// In memory of its own, so many bytes behind its start; whoever says so keeps it alive.
  case memory(UnsafeMutableRawPointer, Int)
  /// Where another value lies.
  case value(Int32)
  /// Nowhere: it is exactly zero.
  case absent
}
