import CKernels

/// What a backward pass over a closure's records should give.
struct GradientRequest {
  /// The first record of the closure.
  var start: Int
  var loss: Int32
  /// Values whose gradient is wanted.
  var sources: [Int32]
}

/// Plans and runs what is needed of a record.
enum Executor {
  /// Runs everything recorded outside a step and stores what still has a handle.
  static func flushImmediate(_ recorder: Recorder) throws(DeviceError) {
    guard !recorder.records.isEmpty else { return }
    var demanded: [Int32] = []
    recorder.values.withUnsafeMutableBufferPointer { values in
      for index in values.indices
      where recorder.producers[index] >= 0 && values[index].slice == nil
        && !isKnownUniquelyReferenced(&values[index])
      { demanded.append(Int32(index)) }
    }
    _ = try Planning.$option.withValue(Planning.option == .reference ? .reference : .none) {
      Result { () throws(DeviceError) in
        try execute(recorder, demanded: demanded, gradient: nil, isCached: false)
      }
    }.get()
    recorder.clear()
  }

  /// Runs the records that `demanded`, the loss and effects need, and the backward pass if asked for.
  ///
  /// Demanded values are stored; nothing else is. All memory is reserved before the first launch.
  /// - Returns: Where the gradients of the request's sources lie; nil where there is none.
  @discardableResult
  static func execute(
    _ recorder: Recorder, demanded: [Int32], gradient: GradientRequest?, isCached: Bool = true
  ) throws(DeviceError) -> [Slice?] {
    let result = Engine.shared.lock.with { () -> Result<[Slice?], DeviceError> in
      do throws(DeviceError) {
        var run = Run(recorder, demanded, gradient, isCached: isCached)
        return .success(try run.execute())
      } catch { return .failure(error) }
    }
    return try result.get()
  }
}

/// One flush.
private struct Run {
  let recorder: Recorder
  let demanded: [Int32]
  let gradient: GradientRequest?
  let isCached: Bool
  let engine = Engine.shared
  let option = Planning.option

  var blocks: [Block] = []
  var plans: [Plan] = []
  /// Per value, the block that makes it in this flush, or -1.
  var blockOf: [Int32]
  /// Per value, where it lies while the flush runs.
  var places: [ResolvedSpace?]
  var frameOffsets: [Int] = []
  var slots: [[UInt32]] = []

  init(_ recorder: Recorder, _ demanded: [Int32], _ gradient: GradientRequest?, isCached: Bool) {
    self.recorder = recorder
    self.demanded = demanded
    self.gradient = gradient
    self.isCached = isCached
    blockOf = [Int32](repeating: -1, count: recorder.values.count)
    places = [ResolvedSpace?](repeating: nil, count: recorder.values.count)
  }

  mutating func execute() throws(DeviceError) -> [Slice?] {
    cut(neededRecords())
    findResults()
    findGradientFlow()
    for block in blocks { plans.append(plan(block)) }
    try runForward()
    let gradients = gradient == nil ? [] : try runBackward()
    for block in blocks {
      for index in block.records {
        let record = recorder.records[Int(index)]
        if OperationTable.shared[record.operation].hasEffect { recorder.executed.insert(index) }
      }
    }
    return gradients
  }

  // MARK: Blocks

  /// Records that a demanded value, the loss or an effect depends on.
  private func neededRecords() -> [Int32] {
    var needed = [Bool](repeating: false, count: recorder.values.count)
    for value in demanded where recorder.values[Int(value)].slice == nil {
      needed[Int(value)] = true
    }
    if let gradient { needed[Int(gradient.loss)] = true }
    var list: [Int32] = []
    for index in stride(from: recorder.records.count - 1, through: 0, by: -1) {
      let record = recorder.records[index]
      var isNeeded = false
      for r in 0..<record.resultCount where needed[Int(record.firstResult + r)] { isNeeded = true }
      if !isNeeded {
        // Records without results exist only for their effect.
        isNeeded = record.resultCount == 0 && !recorder.executed.contains(Int32(index))
      }
      guard isNeeded else { continue }
      list.append(Int32(index))
      for k in 0..<record.operandCount {
        let operand = Int(recorder.operands[Int(record.firstOperand + k)])
        // Inside a gradient closure a stored value is computed again: its backward needs the block.
        let isInClosure = gradient.map { Int(recorder.producers[operand]) >= $0.start } ?? false
        if recorder.values[operand].slice == nil || isInClosure { needed[operand] = true }
      }
    }
    return list.reversed()
  }

  private mutating func cut(_ needed: [Int32]) {
    var marks = recorder.marks[...]
    var current = Block()
    var localNumbers = [Int32](repeating: -1, count: recorder.values.count)
    var touched: [Int32] = []
    func close(_ block: inout Block, _ blocks: inout [Block], _ touched: inout [Int32], _ numbers: inout [Int32]) {
      if !block.records.isEmpty { blocks.append(block) }
      let position = block.position
      block = Block()
      block.position = position
      for value in touched { numbers[Int(value)] = -1 }
      touched.removeAll(keepingCapacity: true)
    }
    for index in needed {
      while let mark = marks.first, mark.position <= index {
        if mark.isCut || current.records.count > 20_000 {
          close(&current, &blocks, &touched, &localNumbers)
          if mark.identity != 0 { current.position = mark.identity }
        }
        marks.removeFirst()
      }
      let record = recorder.records[Int(index)]
      let device = recordDevice(record)
      if !current.records.isEmpty && device != current.device {
        close(&current, &blocks, &touched, &localNumbers)
      }
      current.device = device
      current.records.append(index)
      for k in 0..<record.operandCount {
        let operand = recorder.operands[Int(record.firstOperand + k)]
        if localNumbers[Int(operand)] < 0 {
          localNumbers[Int(operand)] = 1
          touched.append(operand)
          current.operands.append(operand)
        }
      }
      for r in 0..<record.resultCount {
        localNumbers[Int(record.firstResult + r)] = 1
        touched.append(record.firstResult + r)
        blockOf[Int(record.firstResult + r)] = Int32(blocks.count)
      }
    }
    if !current.records.isEmpty { blocks.append(current) }
  }

  private func recordDevice(_ record: Record) -> Device {
    if record.resultCount > 0 { return recorder.values[Int(record.firstResult)].device }
    return recorder.values[Int(recorder.operands[Int(record.firstOperand)])].device
  }

  private mutating func findResults() {
    var isResult = [Bool](repeating: false, count: recorder.values.count)
    for value in demanded where blockOf[Int(value)] >= 0 { isResult[Int(value)] = true }
    if let gradient { isResult[Int(gradient.loss)] = true }
    for (index, block) in blocks.enumerated() {
      for operand in block.operands where blockOf[Int(operand)] >= 0 && blockOf[Int(operand)] != Int32(index) {
        isResult[Int(operand)] = true
      }
    }
    for index in blocks.indices {
      for number in blocks[index].records {
        let record = recorder.records[Int(number)]
        for r in 0..<record.resultCount where isResult[Int(record.firstResult + r)] {
          blocks[index].results.append(record.firstResult + r)
        }
      }
      blocks[index].wantsGradient = [Bool](repeating: false, count: blocks[index].operands.count)
      blocks[index].receivesUpstream = [Bool](repeating: false, count: blocks[index].results.count)
    }
  }

  /// Which operands want a gradient and through which results one comes in.
  private mutating func findGradientFlow() {
    guard let gradient else { return }
    let range = gradient.start..<recorder.records.count
    let needs = Differentiation.dependents(recorder, range, on: gradient.sources)
    var reaches = [Bool](repeating: false, count: recorder.values.count)
    reaches[Int(gradient.loss)] = true
    for index in range.reversed() {
      let record = recorder.records[index]
      var any = false
      for r in 0..<record.resultCount where reaches[Int(record.firstResult + r)] { any = true }
      guard any else { continue }
      let operation = OperationTable.shared[record.operation]
      for k in 0..<Int(record.operandCount) where operation.isDifferentiable(at: k) {
        reaches[Int(recorder.operands[Int(record.firstOperand) + k])] = true
      }
    }
    for index in blocks.indices {
      guard let first = blocks[index].records.first, Int(first) >= gradient.start else { continue }
      blocks[index].isDifferentiated = true
      blocks[index].wantsGradient = blocks[index].operands.map {
        (needs[Int($0)] || recorder.values[Int($0)].isAbsent) && reaches[Int($0)]
      }
      blocks[index].receivesUpstream = blocks[index].results.map {
        needs[Int($0)] && reaches[Int($0)]
      }
      blocks[index].lossResult = blocks[index].results.firstIndex(of: gradient.loss)
    }
  }

  // MARK: Plans

  private func plan(_ block: Block) -> Plan {
    let make = {
      Planner(option: option, isOpenCL: !block.device.isCPU).plan(block, of: recorder)
    }
    guard isCached else { return make() }
    return engine.plan(key(of: block), isRehearsal: false, make: make)
  }

  private func key(of block: Block) -> PlanKey {
    var key = PlanKey()
    var local = [Int32: Int32](minimumCapacity: block.operands.count + block.records.count)
    for (index, operand) in block.operands.enumerated() {
      local[operand] = Int32(index)
      key.add(recorder.values[Int(operand)].type)
      key.add(block.wantsGradient[index] ? 1 : 0, 7)
    }
    var next = Int32(block.operands.count)
    for index in block.records {
      let record = recorder.records[Int(index)]
      key.add(record.operation, record.operandCount << 8 | record.scalarCount)
      for k in 0..<record.operandCount {
        key.add(local[recorder.operands[Int(record.firstOperand + k)]].unsafelyUnwrapped, 3)
      }
      for r in 0..<record.resultCount {
        local[record.firstResult + r] = next
        next += 1
      }
    }
    for (index, result) in block.results.enumerated() {
      key.add(local[result].unsafelyUnwrapped, block.receivesUpstream[index] ? 2 : 1)
    }
    key.add(Int32(block.lossResult ?? -1), block.isDifferentiated ? 1 : 0)
    key.add(UInt64(option.number) << 32 | UInt64(UInt16(bitPattern: block.device.index)))
    return key
  }

  // MARK: Running

  private mutating func runForward() throws(DeviceError) {
    // Offsets of frames and of results that only this flush reads, stacked in record order.
    var isDemanded = Set(demanded)
    if let gradient { isDemanded.insert(gradient.loss) }
    var top: [Device: Int] = [:]
    var scratch: [Device: Int] = [:]
    var transient: [Int32: Int] = [:]
    for (block, plan) in zip(blocks, plans) {
      var offset = top[block.device, default: 0]
      frameOffsets.append(offset)
      offset += plan.frameBytes
      for value in block.results where !isDemanded.contains(value) {
        transient[value] = offset
        offset += (recorder.values[Int(value)].type.byteCount + 63) & ~63
      }
      top[block.device] = offset
      scratch[block.device] = max(
        scratch[block.device, default: 0],
        max(plan.forward.scratchBytes, plan.backward?.scratchBytes ?? 0))
    }
    var arenas: [Device: Arena] = [:]
    for (device, bytes) in top {
      let arena = try engine.arena(device)
      if try arena.reserve(bytes + scratch[device, default: 0] + 64) { engine.counters.arenaGrowths += 1 }
      engine.counters.bytesPlanned += bytes + scratch[device, default: 0]
      arenas[device] = arena
    }
    scratchOffsets = top
    // Results that outlive the flush are reserved before anything runs.
    for value in isDemanded.sorted() where blockOf[Int(value)] >= 0 {
      let target = recorder.values[Int(value)]
      if target.slice == nil {
        let backend = try engine.backend(target.device)
        target.slice = Slice(
          buffer: try backend.pool.make(target.type.byteCount, on: backend), byteOffset: 0)
      }
    }
    for (value, offset) in transient {
      guard let memory = arenas[recorder.values[Int(value)].device]?.memory else { continue }
      places[Int(value)] = ResolvedSpace(memory: memory, byteOffset: offset)
    }
    for index in blocks.indices {
      let block = blocks[index]
      slots.append(slotWords(block))
      try run(plans[index].forward, index, upstream: [:], gradients: [:])
      engine.counters.records += block.records.count
    }
  }

  private var scratchOffsets: [Device: Int] = [:]

  private func slotWords(_ block: Block) -> [UInt32] {
    var words: [UInt32] = []
    let none: [UInt32] = [0]
    none.withUnsafeBufferPointer { empty in
      guard let empty = empty.baseAddress else { return }
      for index in block.records {
        let record = recorder.records[Int(index)]
        for s in 0..<record.scalarCount {
          words.append(recorder.scalars[Int(record.firstScalar + s)].word(slots: empty))
        }
      }
    }
    if words.isEmpty { words.append(0) }
    return words
  }

  private func place(_ value: Int32) throws(DeviceError) -> ResolvedSpace {
    if let place = places[Int(value)] { return place }
    let stored = recorder.values[Int(value)]
    if stored.isAbsent {
      let zeros = try engine.zeroPage(stored.type.byteCount, stored.device)
      return ResolvedSpace(memory: zeros.memory, byteOffset: 0)
    }
    guard let slice = stored.slice else { preconditionFailure("\(stored.name) has no place") }
    return ResolvedSpace(memory: slice.buffer.memory, byteOffset: slice.byteOffset)
  }

  private func run(
    _ program: Program, _ index: Int, upstream: [Int: ResolvedSpace],
    gradients: [Int: ResolvedSpace]
  ) throws(DeviceError) {
    let block = blocks[index]
    let plan = plans[index]
    let arena = try engine.arena(block.device)
    guard let memory = arena.memory else { return }
    let nowhere = ResolvedSpace(memory: memory, byteOffset: 0)
    var spaces = [ResolvedSpace](repeating: nowhere, count: plan.spaceCount)
    spaces[0].byteOffset = frameOffsets[index]
    spaces[1].byteOffset = scratchOffsets[block.device, default: 0]
    for (i, value) in block.operands.enumerated() { spaces[plan.operandSpace(i)] = try place(value) }
    for (i, value) in block.results.enumerated() { spaces[plan.resultSpace(i)] = try place(value) }
    for (i, space) in upstream { spaces[plan.upstreamSpace(i)] = space }
    for (i, space) in gradients { spaces[plan.gradientSpace(i)] = space }
    slots[index].withUnsafeBufferPointer { program.patch(slots: $0.baseAddress.unsafelyUnwrapped) }
    engine.counters.launches += program.launches.count
    try engine.backend(block.device).run(program, spaces)
  }

  // MARK: Backward

  private mutating func runBackward() throws(DeviceError) -> [Slice?] {
    guard let gradient else { return [] }
    // Per value, where its gradient is being summed.
    var sums: [Int32: Slice] = [:]
    let isSource = Set(gradient.sources)
    for index in blocks.indices.reversed() {
      let block = blocks[index]
      let plan = plans[index]
      guard let backward = plan.backward else { continue }
      if block.lossResult == nil,
        !block.results.indices.contains(where: { plan.readsUpstream[$0] && sums[block.results[$0]] != nil })
      {
        continue
      }
      var upstream: [Int: ResolvedSpace] = [:]
      var held: [Buffer] = []
      for (i, value) in block.results.enumerated() where plan.readsUpstream[i] {
        if let slice = sums[value] {
          upstream[i] = ResolvedSpace(memory: slice.buffer.memory, byteOffset: slice.byteOffset)
        } else {
          let zeros = try engine.zeroPage(recorder.values[Int(value)].type.byteCount, block.device)
          held.append(zeros)
          upstream[i] = ResolvedSpace(memory: zeros.memory, byteOffset: 0)
        }
      }
      var targets: [Int: ResolvedSpace] = [:]
      var additions: [(into: Slice, from: Slice, type: TensorType)] = []
      let backend = try engine.backend(block.device)
      for (i, value) in block.operands.enumerated() where plan.producesGradient[i] {
        let type = recorder.values[Int(value)].type
        var slice: Slice
        if let sum = sums[value] {
          slice = Slice(buffer: try backend.pool.make(type.byteCount, on: backend), byteOffset: 0)
          additions.append((sum, slice, type))
        } else {
          if isSource.contains(value), let variable = recorder.values[Int(value)].variable {
            slice = try variable.gradientStorage(on: backend)
          } else {
            slice = Slice(buffer: try backend.pool.make(type.byteCount, on: backend), byteOffset: 0)
          }
          sums[value] = slice
        }
        held.append(slice.buffer)
        targets[i] = ResolvedSpace(memory: slice.buffer.memory, byteOffset: slice.byteOffset)
      }
      try run(backward, index, upstream: upstream, gradients: targets)
      for (into, from, type) in additions {
        try backend.run(
          engine.adder(type),
          [into, from].map { ResolvedSpace(memory: $0.buffer.memory, byteOffset: $0.byteOffset) })
        engine.counters.launches += 1
      }
      withExtendedLifetime(held) {}
      // The gradients of this block's results are spent.
      for value in block.results where !isSource.contains(value) { sums[value] = nil }
    }
    return gradient.sources.map { sums[$0] }
  }
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
