/// One flush: looks plans up, reserves all memory, runs forward and backward.
struct Flush {
  private let recorder: Recorder
  private let room: FlushRoom
  private let demanded: [Int32]
  private let gradient: GradientRequest?
  private let engine = Engine.shared
  private let option = Planning.option

  private var plans: [Plan] = []
  private var memory: FlushMemory
  private var backward: BackwardSchedule?
  /// Where each block's scalars begin in `room.words`.
  private var firstWords: [Int] = []
  private var counters = EngineCounters()

  /// A flush of the blocks that lie in `room`.
  init(
    _ recorder: Recorder, _ room: FlushRoom, demanded: [Int32], gradient: GradientRequest?
  ) {
    self.recorder = recorder
    self.room = room
    self.demanded = demanded
    self.gradient = gradient
    memory = FlushMemory(recorder, room)
  }

  /// - Returns: Where the gradients of the request's sources lie.
  mutating func run() throws(DeviceError) -> [Slice?] {
    defer { engine.add(counters) }
    plans.reserveCapacity(room.blocks.count)
    room.numbers.begin(recorder.values.count)
    for block in room.blocks { plans.append(plan(block)) }
    do throws(DeviceError) {
      try reserve()
    } catch .outOfMemory(let wanted, let free, let detail) {
      throw .outOfMemory(wanted: wanted, free: free, largest: largestTensors(detail))
    }
    if engine.isRehearsing {
      memory.note(in: &ThreadState.current.rehearsed)
      for block in room.blocks { noteUpdates(block) }
    } else {
      gatherWords()
      for index in room.blocks.indices {
        try runForward(index)
        noteUpdates(room.blocks[index])
      }
      if let backward { for call in backward.calls { try run(call, backward) } }
    }
    recorder.pendingEffects.removeAll { recorder.records[Int($0)].hasRun }
    for (value, slice) in memory.stored { value.slice = slice }
    return backward?.gradients ?? []
  }

  // MARK: Plans

  private mutating func plan(_ span: BlockSpan) -> Plan {
    let key = PlanKey(span, of: recorder, room, option)
    counters.planLookups += 1
    ThreadState.current.rehearsedBlocks?[span.position, default: 0].note(key)
    if let plan = engine.plans.plan(key) { return plan }
    if !engine.isRehearsing { counters.planMisses += 1 }
    let plan = Planner(option: option, abilities: span.device.planningAbilities)
      .plan(room.block(span), of: recorder)
    counters.planSeconds += plan.seconds
    engine.plans.insert(plan, key)
    return plan
  }

  // MARK: Memory

  /// Decides where everything lies and obtains it, before the first launch.
  private mutating func reserve() throws(DeviceError) {
    let outliving = demanded + (gradient.map { [$0.loss] } ?? [])
    try memory.layOut(plans, outliving: outliving)
    if let gradient {
      var schedule = BackwardSchedule(recorder, room, gradient)
      try schedule.plan(plans, &memory)
      backward = schedule
    }
    try memory.reserve(plans, outliving: outliving, &counters)
  }

  /// The three largest tensors of the flush, for a message.
  private func largestTensors(_ detail: String) -> String {
    let numbers = Set(room.operands + room.results)
    let sorted = numbers.map { recorder.values[Int($0)] }.sorted {
      ($0.type.byteCount, $1.name) > ($1.type.byteCount, $0.name)
    }
    let named = sorted.prefix(3).map { "\($0.name) of \($0.type.byteCount) bytes" }
    return (named + (detail.isEmpty ? [] : [detail])).joined(separator: ", ")
  }

  // MARK: Running

  private mutating func gatherWords() {
    firstWords.reserveCapacity(room.blocks.count)
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 1) { none in
      guard let none = none.baseAddress else { return }
      for block in room.blocks {
        firstWords.append(room.words.count)
        for index in room.records[block.records] {
          for s in recorder.records[Int(index)].scalarRange {
            room.words.append(recorder.scalars[s].word(slots: none))
          }
        }
      }
    }
    room.words.append(0)
  }

  private mutating func runForward(_ index: Int) throws(DeviceError) {
    let plan = plans[index]
    try memory.resolveSpaces(index, plan)
    try run(plan.forward, index)
    counters.records += room.blocks[index].records.count
    let device = room.blocks[index].device
    for copy in memory.copies where copy.block == index {
      let type = recorder.values[Int(copy.to)].type
      try transfer(
        engine.copier(type), try memory.space(copy.from, device), try memory.space(of: copy.to),
        device)
    }
  }

  private mutating func transfer(
    _ program: Program, _ first: ResolvedSpace, _ second: ResolvedSpace, _ device: Device
  ) throws(DeviceError) {
    try engine.backend(device).run(program, [first, second])
    counters.launches += 1
  }

  private mutating func run(_ program: Program, _ index: Int) throws(DeviceError) {
    if program.launches.isEmpty { return }
    program.patch(isAbsent: room.isAbsent)
    room.words.withUnsafeBufferPointer {
      program.patch(slots: $0.baseAddress.unsafelyUnwrapped + firstWords[index])
    }
    counters.launches += program.launches.count
    try engine.backend(room.blocks[index].device).run(program, room.spaces)
  }

  private mutating func run(
    _ call: BackwardSchedule.Call, _ schedule: BackwardSchedule
  ) throws(DeviceError) {
    let plan = plans[call.block]
    guard let program = plan.backward else { return }
    let device = room.blocks[call.block].device
    try memory.resolveSpaces(call.block, plan)
    for binding in schedule.upstream[call.upstream] {
      let space = plan.upstreamSpace(binding.index)
      room.spaces[space] = try memory.space(binding.place, device)
      if case .absent = binding.place { room.isAbsent[space] = true }
    }
    for binding in schedule.targets[call.targets] {
      room.spaces[plan.gradientSpace(binding.index)] = try memory.space(binding.place, device)
    }
    try run(program, call.block)
    for copy in schedule.copies[call.copies] {
      try transfer(
        engine.copier(copy.type), try memory.space(copy.from, device),
        try memory.space(copy.into, device), device)
    }
    for addition in schedule.additions[call.additions] {
      try transfer(
        engine.adder(addition.type), try memory.space(addition.into, device),
        try memory.space(addition.from, device), device)
    }
  }

  /// Remembers which updates have run.
  private func noteUpdates(_ block: BlockSpan) {
    guard !recorder.pendingEffects.isEmpty else { return }
    for index in room.records[block.records] {
      let record = recorder.records[Int(index)]
      guard record.traits.hasEffect else { continue }
      recorder.records[Int(index)].hasRun = true
      for r in record.resultRange {
        let value = recorder.values[Int(r)]
        value.slice = value.variable?.slice
        value.contents?.executed = value.version
      }
    }
  }
}

extension UInt64 {
  /// Takes in what one more block of a position is planned as.
  fileprivate mutating func note(_ key: PlanKey) {
    var all = PlanKey()
    all.add(self)
    all.add(key.word)
    self = all.word
  }
}
