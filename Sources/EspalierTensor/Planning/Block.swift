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
  /// What began here (`Mark.identity`).
  var position: UInt64 = 0
  var device = Device.cpu
}

/// 128 bits that identify a plan.
struct PlanKey: Hashable {
  var low: UInt64 = 0x9E37_79B9_7F4A_7C15
  var high: UInt64 = 0xC2B2_AE3D_27D4_EB4F

  mutating func add(_ word: UInt64) {
    // Two multiply-fold lanes with different odd constants.
    let a = (low ^ word).multipliedFullWidth(by: 0x9FB2_1C65_1E98_DF25)
    low = a.low ^ a.high
    let b = (high ^ (word &+ 0xD6E8_FEB8_6659_FD93)).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
    high = b.low ^ b.high &+ low
  }

  mutating func add(_ a: Int32, _ b: Int32) {
    add(UInt64(UInt32(bitPattern: a)) << 32 | UInt64(UInt32(bitPattern: b)))
  }

  mutating func add(_ type: TensorType) {
    let words = type.shape.words
    add(words[0])
    add(words[1])
    add(words[2])
    add(words[3] ^ UInt64(type.dtype.rawValue) << 8 ^ UInt64(type.layout.rawValue) << 16)
  }
}
