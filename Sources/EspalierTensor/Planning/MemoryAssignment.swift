import CKernels

/// Places a block's values: a frame for what the backward reads, scratch for the rest.
struct MemoryAssignment {
  let emitted: [Layouter.Call]
  /// The first backward call.
  let split: Int
  /// Values that lie in spaces the executor provides.
  let spaces: [Int32: Int32]
  let types: [TensorType]
  let isReference: Bool
  /// The number of the first space behind those of the plan.
  let firstOwnSpace: Int

  private(set) var frameBytes = 0
  /// Bytes of values in spaces of their own.
  private(set) var ownSpaces: [Int] = []
  private var scratchBytes = [0, 0]
  private var places: [Int32: Location] = [:]

  init(
    emitted: [Layouter.Call], split: Int, spaces: [Int32: Int32], types: [TensorType],
    isReference: Bool, firstOwnSpace: Int
  ) {
    self.emitted = emitted
    self.split = split
    self.spaces = spaces
    self.types = types
    self.isReference = isReference
    self.firstOwnSpace = firstOwnSpace
  }

  private func byteCount(_ value: Int32) -> Int { (valueBytes(value) + 63) & ~63 }

  /// Values that lie outside stay float32 in the reference.
  private func valueBytes(_ value: Int32) -> Int {
    let type = types[Int(value)]
    let isWidened = isReference && type.dtype == .float32 && spaces[value] == nil
    return type.byteCount * (isWidened ? 2 : 1)
  }

  mutating func assign() {
    if Arena.isExact { return assignOwnSpaces() }
    // A workspace lives as long as its node's calls; a value from its first to its last call.
    var first: [Int32: Int] = [:]
    var last: [Int32: Int] = [:]
    for (index, call) in emitted.enumerated() {
      for operand in call.rows.lazy.flatMap(\.operands)
      where operand.number >= 0 && spaces[operand.number] == nil {
        if first[operand.number] == nil { first[operand.number] = index }
        last[operand.number] = index
      }
    }
    for (index, call) in emitted.enumerated() {
      for operand in call.rows.lazy.flatMap(\.operands) {
        let value = operand.number
        guard value >= 0, spaces[value] == nil, first[value] == index, last[value] ?? 0 >= split,
          index < split, places[value] == nil
        else { continue }
        places[value] = Location(
          space: Plan.frameSpace, dtype: operand.dtype, byteOffset: frameBytes)
        frameBytes += byteCount(value)
      }
    }
    for part in 0...1 {
      var scratch = OffsetAllocator()
      let range = part == 0 ? 0..<split : split..<emitted.count
      for index in range {
        var live: Set<Int32> = []
        for operand in emitted[index].rows.lazy.flatMap(\.operands) {
          let value = operand.number
          guard value >= 0, spaces[value] == nil else { continue }
          if places[value] == nil {
            let offset = scratch.allocate(byteCount(value))
            places[value] = Location(
              space: Plan.scratchSpace, dtype: operand.dtype, byteOffset: offset)
          }
          if last[value] == index, places[value]?.space == Plan.scratchSpace { live.insert(value) }
        }
        for value in live.sorted() {
          scratch.free(places[value]?.byteOffset ?? 0, byteCount(value))
        }
      }
      scratchBytes[part] = scratch.peak
    }
  }

  private mutating func assignOwnSpaces() {
    for operand in emitted.lazy.flatMap(\.rows).flatMap(\.operands) {
      let value = operand.number
      guard value >= 0, spaces[value] == nil, places[value] == nil else { continue }
      let space = Int32(firstOwnSpace + ownSpaces.count)
      places[value] = Location(space: space, dtype: operand.dtype, byteOffset: 0)
      ownSpaces.append(valueBytes(value))
    }
  }

  func program(_ calls: ArraySlice<Layouter.Call>) -> Program {
    func aligned(_ n: Int) -> Int { (n + 15) & ~15 }
    let program = Program(
      rowBytes: calls.reduce(0) { $0 + aligned($1.rows[0].row.count * $1.rows.count) })
    program.scratchBytes = scratchBytes[calls.startIndex == 0 && split > 0 ? 0 : 1]
    var offset = 0
    for call in calls {
      let first = call.rows[0]
      let firstOperand = program.locations.count
      for (index, pending) in call.rows.enumerated() {
        write(pending, at: offset + index * first.row.count, into: program)
      }
      let isFar = program.locations[firstOperand...].contains {
        $0.byteOffset / $0.dtype.byteCount > UInt32.max
      }
      var openCL: Int32 = -1
      if let own = first.openCL {
        openCL = Int32(program.openCLCalls.count)
        program.openCLCalls.append(
          call.rows.dropFirst().compactMap(\.openCL).reduce(own) { $0.covering($1) })
      }
      program.launches.append(
        Launch(
          function: first.kernel.function(first.dtype), firstOperand: Int32(firstOperand),
          operandCount: Int32(first.operands.count), rowOffset: Int32(offset),
          rowBytes: Int32(first.row.count), rowCount: Int32(call.rows.count),
          hasRowLocations: call.rows.count > 1 || isFar, openCL: openCL, origin: first.origin))
      program.names.append(first.kernel.name)
      offset += aligned(first.row.count * call.rows.count)
    }
    return program
  }

  /// Writes one row with its operands' places.
  private func write(_ pending: PendingLaunch, at offset: Int, into program: Program) {
    let row = program.rows + offset
    pending.row.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      row.copyMemory(from: base, byteCount: bytes.count)
    }
    for (k, operand) in pending.operands.enumerated() {
      var field = esp_operand()
      var location = Location(space: Plan.scratchSpace, dtype: operand.dtype, byteOffset: 0)
      field.flags = operand.number < 0 ? ESP_ABSENT : operand.accumulates ? ESP_ACCUMULATE : 0
      if operand.number < 0 {
        // It lies nowhere.
      } else if let space = spaces[operand.number] {
        location = Location(space: space, dtype: operand.dtype, byteOffset: 0)
        if k < pending.kernel.skippedOperands {
          program.absentFlags.append((Int(space), offset + 12 * k + 8))
        }
      } else {
        guard let place = places[operand.number] else {
          preconditionFailure("\(pending.kernel.name): operand \(k) has no place")
        }
        location = place
        location.dtype = operand.dtype
      }
      let skipped = operand.elementOffset * operand.dtype.byteCount
      location.byteOffset += skipped
      if operand.number >= 0 { location.byteCount = valueBytes(operand.number) - skipped }
      // What does not fit is taken from the row's location.
      field.offset = UInt32(exactly: location.byteOffset / operand.dtype.byteCount) ?? 0
      field.stride = operand.stride
      row.storeBytes(of: field, toByteOffset: 12 * k, as: esp_operand.self)
      program.locations.append(location)
    }
    for (s, scalar) in pending.scalars.enumerated() {
      let at = offset + 12 * pending.operands.count + 4 * s
      if let word = scalar.constantWord {
        program.rows.storeBytes(of: word, toByteOffset: at, as: UInt32.self)
      } else {
        program.scalars.append((at, scalar))
      }
    }
  }
}

/// Best fit over one growing range of offsets; the same requests give the same answers.
struct OffsetAllocator {
  /// Free ranges in order of offset.
  private var free: [(offset: Int, count: Int)] = []
  private var end = 0
  private(set) var peak = 0

  mutating func allocate(_ byteCount: Int) -> Int {
    allocate(byteCount, below: Int.max).unsafelyUnwrapped
  }

  /// Nil where it would end beyond `limit`.
  mutating func allocate(_ byteCount: Int, below limit: Int) -> Int? {
    var best: Int?
    for (index, range) in free.enumerated() where range.count >= byteCount {
      if best.map({ range.count < free[$0].count }) ?? true { best = index }
    }
    if let best {
      let offset = free[best].offset
      if free[best].count == byteCount {
        free.remove(at: best)
      } else {
        free[best] = (offset + byteCount, free[best].count - byteCount)
      }
      return offset
    }
    let touching = free.last.flatMap { $0.offset + $0.count == end ? $0.offset : nil }
    guard byteCount <= limit - (touching ?? end) else { return nil }
    // Grow the last free range when it touches the end.
    if let last = free.last, last.offset + last.count == end {
      free.removeLast()
      end = last.offset + byteCount
      peak = max(peak, end)
      return last.offset
    }
    let offset = end
    end += byteCount
    peak = max(peak, end)
    return offset
  }

  mutating func free(_ offset: Int, _ byteCount: Int) {
    var low = 0
    var high = free.count
    while low < high {
      let middle = (low + high) / 2
      if free[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    free.insert((offset, byteCount), at: low)
    if low + 1 < free.count, free[low].offset + free[low].count == free[low + 1].offset {
      free[low].count += free[low + 1].count
      free.remove(at: low + 1)
    }
    if low > 0, free[low - 1].offset + free[low - 1].count == free[low].offset {
      free[low - 1].count += free[low].count
      free.remove(at: low)
    }
  }
}
