import CKernels

/// One flush: looks plans up, reserves all memory, runs forward and backward.
struct Flush {
  private let recorder: Recorder
  private let blocks: [Block]
  private let blockOf: [Int32]
  private let demanded: [Int32]
  private let gradient: GradientRequest?
  private let isCached: Bool
  private let engine = Engine.shared
  private let option = Planning.option

  private var plans: [Plan] = []
  /// Per value, where it lies while the flush runs.
  private var places: [ResolvedSpace?]
  private var frameOffsets: [Int] = []
  private var slots: [[UInt32]] = []
  /// What outlives the flush: handed to the values only when all has run.
  private var stored: [(value: Value, slice: Slice)] = []
  private var backwardCalls: [BackwardCall] = []
  private var regions: [Device: Region] = [:]
  /// With an exact arena, what each block's values beyond the plan's spaces lie in.
  private var ownBuffers: [[Buffer]] = []
  private var exactResults: [Buffer] = []

  /// The parts of a device's arena.
  private struct Region {
    var frames = 0
    var scratch = 0
    var rows = OffsetAllocator()
    var memory: UnsafeMutableRawPointer?
    var scratchOffset: Int { frames + rows.peak }
  }

  /// The backward pass of one block, its memory already reserved.
  private struct BackwardCall {
    var block: Int
    var upstream: [(index: Int, place: Row)] = []
    var targets: [(index: Int, place: Row)] = []
    var additions: [(into: Row, from: Row, type: TensorType)] = []
  }

  /// A gradient that crosses blocks: in the arena, behind the frames, or in memory of its own.
  private enum Row {
    case arena(Device, Int)
    case slice(Slice)
  }

  init(
    _ recorder: Recorder, _ blocks: [Block], _ blockOf: [Int32], _ demanded: [Int32],
    _ gradient: GradientRequest?, isCached: Bool
  ) {
    self.recorder = recorder
    self.blocks = blocks
    self.blockOf = blockOf
    self.demanded = demanded
    self.gradient = gradient
    self.isCached = isCached
    places = [ResolvedSpace?](repeating: nil, count: recorder.values.count)
  }

  mutating func run() throws(DeviceError) -> [Slice?] {
    for block in blocks { plans.append(plan(block)) }
    let transient = layOut()
    let gradients = try reserveBackward()
    try reserve(transient)
    if engine.isRehearsing {
      rehearse()
    } else {
      for index in blocks.indices {
        slots.append(slotWords(blocks[index]))
        try run(plans[index].forward, index, upstream: [], gradients: [])
        engine.count(\.records, blocks[index].records.count)
        noteUpdates(blocks[index])
      }
      for call in backwardCalls { try run(call) }
    }
    for (value, slice) in stored { value.slice = slice }
    return gradients
  }

  /// Notes the memory of this flush instead of running it.
  private func rehearse() {
    var frames: [Device: [UInt64: Int]] = [:]
    for index in blocks.indices {
      let device = blocks[index].device
      let end =
        blocks[(index + 1)...].firstIndex { $0.device == device }.map { frameOffsets[$0] }
        ?? regions[device]?.frames ?? 0
      frames[device, default: [:]][blocks[index].position, default: 0] += end - frameOffsets[index]
      noteUpdates(blocks[index])
    }
    for (device, region) in regions {
      ThreadState.current.rehearsed[device, default: RehearsedMemory()].add(
        frames: frames[device] ?? [:], scratch: region.scratch, rows: region.rows.peak)
    }
  }

  /// Remembers which updates have run.
  private func noteUpdates(_ block: Block) {
    for index in block.records {
      let record = recorder.records[Int(index)]
      guard record.traits.hasEffect else { continue }
      recorder.executed.insert(index)
      for r in record.firstResult..<record.firstResult + record.resultCount {
        let value = recorder.values[Int(r)]
        value.slice = value.variable?.slice
        value.contents?.executed = value.version
      }
    }
  }

  // MARK: Plans

  private func plan(_ block: Block) -> Plan {
    let make = {
      Planner(option: option, abilities: block.device.planningAbilities).plan(block, of: recorder)
    }
    guard isCached else { return make() }
    return engine.plan(key(of: block), make: make)
  }

  private func key(of block: Block) -> PlanKey {
    var key = PlanKey()
    key.add(Int32(block.operands.count), Int32(block.results.count))
    key.add(Int32(block.records.count), Int32(block.lossResult ?? -1))
    key.add(UInt64(option.number) << 32 | UInt64(UInt16(bitPattern: block.device.index)))
    let numbers = engine.localNumbers(count: recorder.values.count)
    for (index, operand) in block.operands.enumerated() {
      numbers[Int(operand)] = Int32(index)
      key.add(recorder.values[Int(operand)].type)
      key.add(block.wantsGradient[index] ? 1 : 0, 7)
    }
    var next = Int32(block.operands.count)
    for index in block.records {
      let record = recorder.records[Int(index)]
      key.add(record.operation, record.operandCount << 8 | record.scalarCount)
      for k in Int(record.firstOperand)..<Int(record.firstOperand + record.operandCount) {
        key.add(numbers[Int(recorder.operands[k])], 3)
      }
      for r in record.firstResult..<record.firstResult + record.resultCount {
        numbers[Int(r)] = next
        next += 1
      }
    }
    for (index, result) in block.results.enumerated() {
      key.add(numbers[Int(result)], block.receivesUpstream[index] ? 2 : 1)
    }
    key.add(block.isDifferentiated ? 1 : 0, 5)
    return key
  }

  // MARK: Memory

  /// Offsets of frames and of results that only this flush reads, stacked in record order.
  private mutating func layOut() -> [Int32: Int] {
    var isOutliving = Set(demanded)
    if let gradient { isOutliving.insert(gradient.loss) }
    var transient: [Int32: Int] = [:]
    for (block, plan) in zip(blocks, plans) {
      var region = regions[block.device] ?? Region()
      frameOffsets.append(region.frames)
      region.frames += plan.frameBytes
      for value in block.results where !isOutliving.contains(value) {
        // What an update left lies in its variable.
        if recorder.values[Int(value)].contents != nil { continue }
        transient[value] = region.frames
        region.frames += (recorder.values[Int(value)].type.byteCount + 63) & ~63
      }
      region.scratch = max(
        region.scratch,
        max(plan.forward.scratchBytes, plan.backward?.scratchBytes ?? 0))
      regions[block.device] = region
    }
    return transient
  }

  /// Obtains the arena and the memory of what outlives the flush.
  private mutating func reserve(_ transient: [Int32: Int]) throws(DeviceError) {
    for device in regions.keys {
      guard var region = regions[device] else { continue }
      let bytes = region.scratchOffset + region.scratch + 64
      let arena = try engine.arena(device)
      if try arena.reserve(bytes) && !engine.isRehearsing { engine.count(\.arenaGrowths, 1) }
      engine.count(\.bytesPlanned, bytes)
      region.memory = arena.memory
      regions[device] = region
    }
    for (value, offset) in transient {
      if Arena.isExact {
        let slice = try makeExact(value)
        places[Int(value)] = ResolvedSpace(memory: slice.buffer.memory, byteOffset: 0)
        continue
      }
      guard let memory = regions[recorder.values[Int(value)].device]?.memory else { continue }
      places[Int(value)] = ResolvedSpace(memory: memory, byteOffset: offset)
    }
    var kept = demanded
    if let gradient { kept.append(gradient.loss) }
    for number in kept where blockOf[Int(number)] >= 0 && places[Int(number)] == nil {
      let value = recorder.values[Int(number)]
      guard value.slice == nil, value.contents == nil else { continue }
      let backend = try engine.backend(value.device)
      let slice = Slice(
        buffer: try backend.pool.make(value.type.byteCount, on: backend), byteOffset: 0)
      stored.append((value, slice))
      places[Int(number)] = ResolvedSpace(memory: slice.buffer.memory, byteOffset: 0)
    }
    for (block, plan) in zip(blocks, plans) {
      let backend = try engine.backend(block.device)
      var buffers: [Buffer] = []
      for bytes in plan.ownSpaces { buffers.append(try backend.pool.make(bytes, on: backend)) }
      ownBuffers.append(buffers)
      for operand in block.operands where recorder.values[Int(operand)].isAbsent {
        _ = try engine.zeroPage(recorder.values[Int(operand)].type.byteCount, block.device)
      }
    }
  }

  /// A buffer of a value's size that lives as long as the flush.
  private mutating func makeExact(_ number: Int32) throws(DeviceError) -> Slice {
    let value = recorder.values[Int(number)]
    let backend = try engine.backend(value.device)
    exactResults.append(try backend.pool.make(value.type.byteCount, on: backend))
    return Slice(buffer: exactResults[exactResults.count - 1], byteOffset: 0)
  }

  /// Plans where every gradient goes, in the order the backward will run, before anything runs.
  private mutating func reserveBackward() throws(DeviceError) -> [Slice?] {
    guard let gradient else { return [] }
    var sums: [Int32: Row] = [:]
    let isSource = Set(gradient.sources)
    for index in blocks.indices.reversed() {
      let (block, plan) = (blocks[index], plans[index])
      guard plan.backward != nil else { continue }
      let hasUpstream = block.results.indices.contains {
        plan.readsUpstream[$0] && sums[block.results[$0]] != nil
      }
      guard block.lossResult != nil || hasUpstream else { continue }
      var call = BackwardCall(block: index)
      for (i, value) in block.results.enumerated() where plan.readsUpstream[i] {
        if let row = sums[value] {
          call.upstream.append((i, row))
        } else {
          let zeros = try engine.zeroPage(recorder.values[Int(value)].type.byteCount, block.device)
          call.upstream.append((i, .slice(Slice(buffer: zeros, byteOffset: 0))))
        }
      }
      let backend = try engine.backend(block.device)
      var spent: [(Int, Int)] = []
      func arenaRow(_ type: TensorType) throws(DeviceError) -> Row {
        if Arena.isExact {
          let buffer = try backend.pool.make(type.byteCount, on: backend)
          return .slice(Slice(buffer: buffer, byteOffset: 0))
        }
        let bytes = (type.byteCount + 63) & ~63
        let offset = regions[block.device]?.rows.allocate(bytes) ?? 0
        return .arena(block.device, offset)
      }
      for (i, value) in block.operands.enumerated() where plan.producesGradient[i] {
        let type = recorder.values[Int(value)].type
        if let sum = sums[value] {
          let row = try arenaRow(type)
          if case .arena(_, let offset) = row {
            spent.append((offset, (type.byteCount + 63) & ~63))
          }
          call.targets.append((i, row))
          call.additions.append((sum, row, type))
          continue
        }
        let row: Row
        if isSource.contains(value) {
          if gradient.usesGradientStorage, let variable = recorder.values[Int(value)].variable {
            row = .slice(try variable.gradientStorage(on: backend))
          } else {
            row = .slice(
              Slice(buffer: try backend.pool.make(type.byteCount, on: backend), byteOffset: 0))
          }
        } else {
          row = try arenaRow(type)
        }
        sums[value] = row
        call.targets.append((i, row))
      }
      for (offset, bytes) in spent { regions[block.device]?.rows.free(offset, bytes) }
      for value in block.results where !isSource.contains(value) {
        if case .arena(let device, let offset)? = sums.removeValue(forKey: value) {
          regions[device]?.rows.free(
            offset, (recorder.values[Int(value)].type.byteCount + 63) & ~63)
        }
      }
      backwardCalls.append(call)
    }
    return gradient.sources.map { source in
      if case .slice(let slice)? = sums[source] { return slice }
      return nil
    }
  }

  // MARK: Running

  private func slotWords(_ block: Block) -> [UInt32] {
    var words: [UInt32] = [0]
    words.removeAll(keepingCapacity: true)
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 1) { none in
      guard let none = none.baseAddress else { return }
      for index in block.records {
        let record = recorder.records[Int(index)]
        for s in Int(record.firstScalar)..<Int(record.firstScalar + record.scalarCount) {
          words.append(recorder.scalars[s].word(slots: none))
        }
      }
    }
    if words.isEmpty { words.append(0) }
    return words
  }

  private func place(_ number: Int32) throws(DeviceError) -> ResolvedSpace {
    if let place = places[Int(number)] { return place }
    let value = recorder.values[Int(number)]
    if value.isAbsent {
      let zeros = try engine.zeroPage(value.type.byteCount, value.device)
      return ResolvedSpace(memory: zeros.memory, byteOffset: 0)
    }
    guard let slice = value.slice ?? value.variable?.slice else {
      preconditionFailure("\(value.name) has no place")
    }
    return ResolvedSpace(memory: slice.buffer.memory, byteOffset: slice.byteOffset)
  }

  private func resolved(_ row: Row) -> ResolvedSpace? {
    switch row {
    case .slice(let slice):
      return ResolvedSpace(memory: slice.buffer.memory, byteOffset: slice.byteOffset)
    case .arena(let device, let offset):
      guard let region = regions[device], let memory = region.memory else { return nil }
      return ResolvedSpace(memory: memory, byteOffset: region.frames + offset)
    }
  }

  private func run(
    _ program: Program, _ index: Int, upstream: [(index: Int, place: Row)],
    gradients: [(index: Int, place: Row)]
  ) throws(DeviceError) {
    let (block, plan) = (blocks[index], plans[index])
    guard let region = regions[block.device], let memory = region.memory else { return }
    let nowhere = ResolvedSpace(memory: memory, byteOffset: 0)
    var spaces = [ResolvedSpace](repeating: nowhere, count: plan.spaceCount)
    spaces[0].byteOffset = frameOffsets[index]
    spaces[1].byteOffset = region.scratchOffset
    for (i, value) in block.operands.enumerated() {
      spaces[plan.operandSpace(i)] = try place(value)
    }
    for (i, value) in block.results.enumerated() { spaces[plan.resultSpace(i)] = try place(value) }
    for buffer in ownBuffers[index] {
      spaces.append(ResolvedSpace(memory: buffer.memory, byteOffset: 0))
    }
    for (i, row) in upstream { spaces[plan.upstreamSpace(i)] = resolved(row) ?? nowhere }
    for (i, row) in gradients { spaces[plan.gradientSpace(i)] = resolved(row) ?? nowhere }
    slots[index].withUnsafeBufferPointer { program.patch(slots: $0.baseAddress.unsafelyUnwrapped) }
    engine.count(\.launches, program.launches.count)
    try engine.backend(block.device).run(program, spaces)
  }

  private func run(_ call: BackwardCall) throws(DeviceError) {
    guard let backward = plans[call.block].backward else { return }
    try run(backward, call.block, upstream: call.upstream, gradients: call.targets)
    let backend = try engine.backend(blocks[call.block].device)
    for (into, from, type) in call.additions {
      guard let into = resolved(into), let from = resolved(from) else { continue }
      try backend.run(engine.adder(type), [into, from])
      engine.count(\.launches, 1)
    }
  }
}

extension Planning {
  var number: Int {
    switch self {
    case .full: 0
    case .none: 1
    case .reference: 2
    }
  }
}

extension Variable {
  /// Memory for the gradient: a range of the flat gradients, or a buffer of its own.
  func gradientStorage(on backend: any Backend) throws(DeviceError) -> Slice {
    if let gradientSlice { return gradientSlice }
    let slice = Slice(
      buffer: try backend.pool.make(type.byteCount, on: backend), byteOffset: 0)
    gradientSlice = slice
    return slice
  }
}
