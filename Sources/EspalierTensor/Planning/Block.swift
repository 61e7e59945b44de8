/// A stretch of the record that is planned as one.
struct Block {
  /// Indices of its records, in order; unused ones are left out.
  var records: [Int32] = []
  /// Values from outside, numbered by first use.
  var operands: [Int32] = []
  /// Values used later or demanded.
  var results: [Int32] = []
  var isDifferentiated = false
  /// Operands that need a gradient.
  var wantsGradient: [Bool] = []
  /// Results through which a gradient comes in.
  var receivesUpstream: [Bool] = []
  /// The index of the loss among the results.
  var lossResult: Int?
  var device = Device.cpu
}
