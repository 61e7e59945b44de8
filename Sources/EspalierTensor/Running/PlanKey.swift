/// 128 bits that identify a plan.
struct PlanKey: Hashable {
  private var low: UInt64 = 0x9E37_79B9_7F4A_7C15
  private var high: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  #if DEBUG
    /// All that was added: debug builds compare it where keys are equal.
    var words: [UInt64] = []
  #endif

  init() {}

  /// What identifies a block's plan: operations, attributes, types, operands numbered by first use,
  /// demand, device and planning option.
  init(_ block: BlockSpan, of recorder: Recorder, _ room: FlushRoom, _ option: Planning) {
    add(Int32(block.operands.count), Int32(block.results.count))
    add(Int32(block.records.count), Int32(block.lossResult ?? -1))
    add(UInt64(option.number) << 32 | UInt64(UInt16(bitPattern: block.device.index)))
    let numbers = room.numbers
    for k in block.operands {
      let operand = room.operands[k]
      numbers[operand] = Int32(k - block.operands.lowerBound)
      add(recorder.values[Int(operand)].type, isMarked: room.wantsGradient[k])
    }
    var next = Int32(block.operands.count)
    // Which records share a barrier, not how many barriers the step had before.
    let first = block.records.first.map { recorder.records[Int(room.records[$0])].barrier }
    var barrier = (first ?? 0) & ~1
    for index in block.records {
      let record = recorder.records[Int(room.records[index])]
      add(record.operation, record.operandCount << 8 | record.scalarCount)
      if record.barrier != barrier {
        barrier = record.barrier
        add(next, -3)
      }
      for k in record.operandRange {
        guard let number = numbers[recorder.operands[k]] else {
          preconditionFailure("operand \(k) of a block has no number")
        }
        add(number, 3)
      }
      for r in record.resultRange {
        numbers[r] = next
        next += 1
      }
    }
    for k in block.results {
      add(numbers[room.results[k]] ?? -1, room.receivesUpstream[k] ? 2 : 1)
    }
    add(block.isDifferentiated ? 1 : 0, 5)
  }

  mutating func add(_ word: UInt64) {
    // Two multiply-fold lanes with different odd constants.
    let a = (low ^ word).multipliedFullWidth(by: 0x9FB2_1C65_1E98_DF25)
    low = a.low ^ a.high
    let b = (high ^ (word &+ 0xD6E8_FEB8_6659_FD93)).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
    high = b.low ^ b.high &+ low
    #if DEBUG
      words.append(word)
    #endif
  }

  mutating func add(_ a: Int32, _ b: Int32) {
    add(UInt64(UInt32(bitPattern: a)) << 32 | UInt64(UInt32(bitPattern: b)))
  }

  private mutating func add(_ type: TensorType, isMarked: Bool) {
    let words = type.shape.words
    add(words[0])
    add(words[1])
    add(words[2])
    add(words[3])
    add(
      UInt64(type.dtype.rawValue) << 8 ^ UInt64(type.layout.rawValue) << 16
        ^ (isMarked ? 1 : 0))
  }

  static func == (a: PlanKey, b: PlanKey) -> Bool { a.low == b.low && a.high == b.high }

  func hash(into hasher: inout Hasher) { hasher.combine(low) }

  /// 64 bits of the key, for positions of cuts.
  var word: UInt64 { low }
}

extension Planning {
  fileprivate var number: Int {
    switch self {
    case .full: 0
    case .none: 1
    case .reference: 2
    }
  }
}
