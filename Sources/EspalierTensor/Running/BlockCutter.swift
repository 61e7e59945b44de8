/// Cuts what a flush needs into blocks with their demand.
struct BlockCutter {
  private let recorder: Recorder
  private let demanded: [Int32]
  private let gradient: GradientRequest?
  private let room: FlushRoom
  /// Outside a step each record is a block: what was recorded between two reads, and which of its
  /// values still have a handle, is then no part of a key.
  ///
  /// The reference keeps records together, so that nothing is rounded between them.
  private let cutsEveryRecord: Bool

  init(
    _ recorder: Recorder, demanded: [Int32], gradient: GradientRequest?, room: FlushRoom
  ) {
    self.recorder = recorder
    self.demanded = demanded
    self.gradient = gradient
    self.room = room
    cutsEveryRecord = recorder.kind == .immediate && Planning.option != .reference
  }

  /// Fills `room` with the blocks.
  func cut() {
    var wanted = demanded.filter { recorder.values[Int($0)].slice == nil }
    if let gradient { wanted.append(gradient.loss) }
    NeededRecords(recorder, gradient, room).find(wanted)
    requireLatest()
    cutNeeded()
    findResults()
    findGradientFlow()
  }

  /// Traps where a record would read memory that was overwritten since it was recorded.
  private func requireLatest() {
    room.flushCount += 1
    for index in room.records {
      let record = recorder.records[Int(index)]
      for k in record.operandRange {
        let value = recorder.values[Int(recorder.operands[k])]
        guard let contents = value.contents else { continue }
        precondition(
          contents.version(inFlush: room.flushCount) == value.version,
          "\(value.type.shape): \(contents.kind) was overwritten before what uses it ran; read or return that first"
        )
      }
      guard record.traits.hasEffect else { continue }
      for r in record.resultRange {
        let value = recorder.values[Int(r)]
        value.contents?.write(value.version, inFlush: room.flushCount)
      }
    }
  }

  // MARK: Cuts

  private func cutNeeded() {
    room.clearBlocks()
    var mark = 0
    var current = BlockSpan()
    let seenIn = room.seenIn
    seenIn.begin(recorder.values.count)
    room.blockOf.begin(recorder.values.count)
    func close(before end: Int) {
      guard current.records.lowerBound < end else { return }
      current.records = current.records.lowerBound..<end
      current.operands = current.operands.lowerBound..<room.operands.count
      room.blocks.append(current)
      var next = BlockSpan()
      next.records = end..<end
      next.operands = room.operands.count..<room.operands.count
      next.position = current.position
      current = next
    }
    for (place, index) in room.records.enumerated() {
      while mark < recorder.marks.count, recorder.marks[mark].position <= index {
        let next = recorder.marks[mark]
        if next.isCut || place - current.records.lowerBound > 20_000 { close(before: place) }
        if next.isCut { current.position = next.identity }
        mark += 1
      }
      let record = recorder.records[Int(index)]
      let device = recordDevice(record)
      if device != current.device || cutsEveryRecord { close(before: place) }
      current.device = device
      let block = Int32(room.blocks.count)
      for k in record.operandRange {
        let operand = recorder.operands[k]
        if seenIn[operand] != block {
          seenIn[operand] = block
          room.operands.append(operand)
        }
      }
      for r in record.resultRange {
        seenIn[r] = block
        room.blockOf[r] = block
      }
    }
    close(before: room.records.count)
  }

  private func recordDevice(_ record: Record) -> Device {
    let value =
      record.resultCount > 0
      ? record.firstResult : recorder.operands[Int(record.firstOperand)]
    return recorder.values[Int(value)].device
  }

  // MARK: Demand

  private func findResults() {
    let isResult = room.isResult
    isResult.begin(recorder.values.count)
    for value in demanded { isResult.insert(value) }
    for value in recorder.handed { isResult.insert(value) }
    if let gradient { isResult.insert(gradient.loss) }
    if cutsEveryRecord {
      for index in room.records {
        for r in recorder.records[Int(index)].resultRange { isResult.insert(r) }
      }
    }
    for (index, block) in room.blocks.enumerated() {
      for operand in room.operands[block.operands] where room.blockOf[operand] != Int32(index) {
        isResult.insert(operand)
      }
    }
    for index in room.blocks.indices {
      let first = room.results.count
      for number in room.records[room.blocks[index].records] {
        for r in recorder.records[Int(number)].resultRange where isResult.contains(r) {
          room.results.append(r)
        }
      }
      room.blocks[index].results = first..<room.results.count
    }
  }

  /// Which operands want a gradient and through which results one comes in.
  private func findGradientFlow() {
    room.wantsGradient.append(contentsOf: repeatElement(false, count: room.operands.count))
    room.receivesUpstream.append(contentsOf: repeatElement(false, count: room.results.count))
    guard let gradient else { return }
    let range = gradient.start..<recorder.records.count
    let needs = Differentiation.dependents(recorder, range, on: gradient.sources)
    let reaches = room.reaches
    reaches.begin(recorder.values.count)
    reaches.insert(gradient.loss)
    // What was handed to a sampled choice counts as reaching the loss whatever was sampled.
    for value in recorder.handed { reaches.insert(value) }
    for index in range.reversed() {
      let record = recorder.records[index]
      guard record.resultRange.contains(where: reaches.contains) else { continue }
      for k in 0..<Int(record.operandCount) where record.traits.isDifferentiable(at: k) {
        reaches.insert(recorder.operands[Int(record.firstOperand) + k])
      }
    }
    for index in room.blocks.indices {
      let block = room.blocks[index]
      guard Int(room.records[block.records.lowerBound]) >= gradient.start else { continue }
      room.blocks[index].isDifferentiated = true
      for k in block.operands {
        let value = room.operands[k]
        room.wantsGradient[k] =
          (needs[Int(value)] || recorder.values[Int(value)].isAbsent) && reaches.contains(value)
      }
      for k in block.results {
        let value = room.results[k]
        room.receivesUpstream[k] = needs[Int(value)] && reaches.contains(value)
        if value == gradient.loss { room.blocks[index].lossResult = k - block.results.lowerBound }
      }
    }
  }
}
