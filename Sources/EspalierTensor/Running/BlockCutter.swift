/// Finds which records a flush needs and cuts them into blocks with their demand.
final class BlockCutter {
  private let recorder: Recorder
  private let demanded: [Int32]
  private let gradient: GradientRequest?
  /// Per value, the block that makes it in this flush, or -1.
  private(set) var blockOf: [Int32]
  private var list: [Block] = []

  init(_ recorder: Recorder, demanded: [Int32], gradient: GradientRequest?) {
    self.recorder = recorder
    self.demanded = demanded
    self.gradient = gradient
    blockOf = [Int32](repeating: -1, count: recorder.values.count)
  }

  func blocks() -> [Block] {
    let needed = neededRecords()
    requireLatest(needed)
    cut(needed)
    findResults()
    findGradientFlow()
    return list
  }

  // MARK: Need

  /// Records that a demanded value, the loss or a pending update depends on.
  ///
  /// Inside a needed block, what was handed to a sampled choice counts as needed too: what is
  /// planned may not depend on what was sampled.
  private func neededRecords() -> [Int32] {
    var seeds = demanded.filter { recorder.values[Int($0)].slice == nil }
    if let gradient { seeds.append(gradient.loss) }
    var (list, needed) = need(seeds)
    guard !recorder.handed.isEmpty else { return list }
    let sections = sectionNumbers()
    while true {
      let neededSections = Set(list.map { sections[Int($0)] })
      let more = recorder.handed.filter { value in
        let producer = recorder.producers[Int(value)]
        return producer >= 0 && !needed[Int(value)] && recorder.values[Int(value)].slice == nil
          && neededSections.contains(sections[Int(producer)])
      }
      if more.isEmpty { return list }
      seeds += more
      (list, needed) = need(seeds)
    }
  }

  private func need(_ seeds: [Int32]) -> (records: [Int32], values: [Bool]) {
    var needed = [Bool](repeating: false, count: recorder.values.count)
    for seed in seeds { needed[Int(seed)] = true }
    var list: [Int32] = []
    let closureStart = gradient.map { Int32($0.start) } ?? Int32.max
    for index in stride(from: recorder.records.count - 1, through: 0, by: -1) {
      let record = recorder.records[index]
      var isNeeded = record.traits.hasEffect && !recorder.executed.contains(Int32(index))
      if !record.traits.hasEffect {
        for r in 0..<record.resultCount where needed[Int(record.firstResult + r)] {
          isNeeded = true
        }
      }
      guard isNeeded else { continue }
      list.append(Int32(index))
      for k in 0..<record.operandCount {
        let operand = Int(recorder.operands[Int(record.firstOperand + k)])
        // In a gradient closure a value that a read stored is computed again: its backward needs
        // the block.
        let isInClosure = recorder.producers[operand] >= closureStart
        if recorder.values[operand].slice == nil || isInClosure { needed[operand] = true }
      }
    }
    return (list.reversed(), needed)
  }

  /// The stretch between cuts that each record lies in.
  private func sectionNumbers() -> [Int32] {
    var sections = [Int32](repeating: 0, count: recorder.records.count)
    var marks = recorder.marks[...]
    var section: Int32 = 0
    for index in sections.indices {
      while let mark = marks.first, Int(mark.position) <= index {
        if mark.isCut { section += 1 }
        marks.removeFirst()
      }
      sections[index] = section
    }
    return sections
  }

  /// Traps where a record would read memory that was overwritten since it was recorded.
  private func requireLatest(_ needed: [Int32]) {
    var executed: [ObjectIdentifier: Int] = [:]
    for index in needed {
      let record = recorder.records[Int(index)]
      for k in 0..<record.operandCount {
        let value = recorder.values[Int(recorder.operands[Int(record.firstOperand + k)])]
        guard let contents = value.contents else { continue }
        let latest = executed[ObjectIdentifier(contents)] ?? contents.executed
        precondition(
          latest == value.version,
          "\(value.type.shape): \(contents.kind) was overwritten before what uses it ran; read or return that first"
        )
      }
      guard record.traits.hasEffect else { continue }
      for r in 0..<record.resultCount {
        let value = recorder.values[Int(record.firstResult + r)]
        if let contents = value.contents {
          executed[ObjectIdentifier(contents)] = value.version
        }
      }
    }
  }

  // MARK: Cuts

  private func cut(_ needed: [Int32]) {
    var marks = recorder.marks[...]
    var current = Block()
    // The number of the block in which a value was seen last, plus 1.
    var seenIn = [Int32](repeating: 0, count: recorder.values.count)
    func close() {
      guard !current.records.isEmpty else { return }
      list.append(current)
      let position = current.position
      current = Block()
      current.position = position
    }
    for index in needed {
      while let mark = marks.first, mark.position <= index {
        if mark.isCut || current.records.count > 20_000 { close() }
        if mark.isCut { current.position = mark.identity }
        marks.removeFirst()
      }
      let record = recorder.records[Int(index)]
      let device = recordDevice(record)
      if !current.records.isEmpty && device != current.device { close() }
      current.device = device
      current.records.append(index)
      let stamp = Int32(list.count) + 1
      for k in 0..<record.operandCount {
        let operand = recorder.operands[Int(record.firstOperand + k)]
        if seenIn[Int(operand)] != stamp {
          seenIn[Int(operand)] = stamp
          current.operands.append(operand)
        }
      }
      for r in record.firstResult..<record.firstResult + record.resultCount {
        seenIn[Int(r)] = stamp
        blockOf[Int(r)] = stamp - 1
      }
    }
    close()
  }

  private func recordDevice(_ record: Record) -> Device {
    let value =
      record.resultCount > 0
      ? record.firstResult : recorder.operands[Int(record.firstOperand)]
    return recorder.values[Int(value)].device
  }

  // MARK: Demand

  private func findResults() {
    var isResult = [Bool](repeating: false, count: recorder.values.count)
    for value in demanded where blockOf[Int(value)] >= 0 { isResult[Int(value)] = true }
    for value in recorder.handed where blockOf[Int(value)] >= 0 { isResult[Int(value)] = true }
    if let gradient { isResult[Int(gradient.loss)] = true }
    for (index, block) in list.enumerated() {
      for operand in block.operands
      where blockOf[Int(operand)] >= 0 && blockOf[Int(operand)] != Int32(index) {
        isResult[Int(operand)] = true
      }
    }
    for index in list.indices {
      for number in list[index].records {
        let record = recorder.records[Int(number)]
        for r in record.firstResult..<record.firstResult + record.resultCount where isResult[Int(r)]
        {
          list[index].results.append(r)
        }
      }
      list[index].wantsGradient = [Bool](repeating: false, count: list[index].operands.count)
      list[index].receivesUpstream = [Bool](repeating: false, count: list[index].results.count)
    }
  }

  /// Which operands want a gradient and through which results one comes in.
  private func findGradientFlow() {
    guard let gradient else { return }
    let range = gradient.start..<recorder.records.count
    let needs = Differentiation.dependents(recorder, range, on: gradient.sources)
    var reaches = [Bool](repeating: false, count: recorder.values.count)
    reaches[Int(gradient.loss)] = true
    // What was handed to a sampled choice counts as reaching the loss whatever was sampled.
    for value in recorder.handed { reaches[Int(value)] = true }
    for index in range.reversed() {
      let record = recorder.records[index]
      var any = false
      for r in 0..<record.resultCount where reaches[Int(record.firstResult + r)] { any = true }
      guard any else { continue }
      for k in 0..<Int(record.operandCount) where record.traits.isDifferentiable(at: k) {
        reaches[Int(recorder.operands[Int(record.firstOperand) + k])] = true
      }
    }
    for index in list.indices {
      guard let first = list[index].records.first, Int(first) >= gradient.start else { continue }
      list[index].isDifferentiated = true
      list[index].wantsGradient = list[index].operands.map {
        (needs[Int($0)] || recorder.values[Int($0)].isAbsent) && reaches[Int($0)]
      }
      list[index].receivesUpstream = list[index].results.map {
        needs[Int($0)] && reaches[Int($0)]
      }
      list[index].lossResult = list[index].results.firstIndex(of: gradient.loss)
    }
  }
}
