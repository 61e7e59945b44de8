/// Finds the records that a flush needs, walking back from what is wanted and no further: what
/// earlier flushes of the step have done is not looked at again.
struct NeededRecords {
  private let recorder: Recorder
  private let room: FlushRoom
  /// In a gradient closure a value that a read stored is computed again: its backward needs the
  /// block.
  private let closureStart: Int32

  init(_ recorder: Recorder, _ gradient: GradientRequest?, _ room: FlushRoom) {
    self.recorder = recorder
    self.room = room
    closureStart = gradient.map { Int32($0.start) } ?? Int32.max
  }

  /// Fills `room.records`, in order, with those that `wanted` values and pending updates depend on.
  ///
  /// Inside a needed block, what was handed to a sampled choice counts as wanted too: what is
  /// planned may not depend on what was sampled.
  func find(_ wanted: [Int32]) {
    var wanted = wanted
    walk(from: wanted)
    while addHanded(to: &wanted) { walk(from: wanted) }
  }

  private func walk(from wanted: [Int32]) {
    room.records.removeAll(keepingCapacity: true)
    room.neededValues.begin(recorder.values.count)
    room.neededRecords.begin(recorder.records.count)
    // Records that are needed and not reached yet.
    var (open, index) = (0, Int32(-1))
    func need(_ record: Int32) {
      guard room.neededRecords.insert(record) else { return }
      open += 1
      index = max(index, record)
    }
    func want(_ value: Int32) {
      guard room.neededValues.insert(value) else { return }
      let producer = recorder.producers[Int(value)]
      if producer >= 0, !recorder.records[Int(producer)].traits.hasEffect { need(producer) }
    }
    for value in wanted { want(value) }
    for record in recorder.pendingEffects { need(record) }
    while open > 0 {
      if room.neededRecords.contains(index) {
        open -= 1
        room.records.append(index)
        for k in recorder.records[Int(index)].operandRange {
          let operand = recorder.operands[k]
          if recorder.values[Int(operand)].slice == nil
            || recorder.producers[Int(operand)] >= closureStart
          {
            want(operand)
          }
        }
      }
      index -= 1
    }
    room.records.reverse()
  }

  /// Adds what a needed block hands to a choice; returns whether there was anything new.
  private func addHanded(to wanted: inout [Int32]) -> Bool {
    guard !recorder.handed.isEmpty else { return false }
    let cuts = recorder.cuts
    room.neededSections.begin(cuts.count + 1)
    var section: Int32 = 0
    for record in room.records {
      while Int(section) < cuts.count, cuts[Int(section)] <= record { section += 1 }
      room.neededSections.insert(section)
    }
    let before = wanted.count
    for value in recorder.handed {
      let producer = recorder.producers[Int(value)]
      guard producer >= 0, !room.neededValues.contains(value),
        recorder.values[Int(value)].slice == nil,
        room.neededSections.contains(recorder.section(of: producer))
      else { continue }
      wanted.append(value)
    }
    return wanted.count > before
  }
}

extension Recorder {
  /// The stretch between cuts that a record lies in.
  fileprivate func section(of record: Int32) -> Int32 {
    var (low, high) = (0, cuts.count)
    while low < high {
      let middle = (low + high) / 2
      if cuts[middle] <= record { low = middle + 1 } else { high = middle }
    }
    return Int32(low)
  }
}
