/// The backward pass of a flush: which blocks run, and where every gradient between them lies.
///
/// Planned in the order in which it will run, before anything runs, so that its memory is known.
struct BackwardSchedule {
  /// The backward pass of one block.
  struct Call {
    var block: Int
    /// Ranges of the lists of the schedule.
    var upstream = 0..<0
    var targets = 0..<0
    var copies = 0..<0
    var additions = 0..<0
  }

  /// A place for the upstream gradient of a result or the gradient of an operand, by index.
  struct Binding {
    var index: Int
    var place: Place
  }

  /// A gradient that is added to a sum, or copied to where one begins.
  struct Transfer {
    var into: Place
    var from: Place
    var type: TensorType
  }

  private(set) var calls: [Call] = []
  private(set) var upstream: [Binding] = []
  private(set) var targets: [Binding] = []
  private(set) var copies: [Transfer] = []
  private(set) var additions: [Transfer] = []
  /// Where the gradient of each source lies; nil where there is none.
  private(set) var gradients: [Slice?]

  private let recorder: Recorder
  private let room: FlushRoom
  private let request: GradientRequest
  private let engine = Engine.shared

  init(_ recorder: Recorder, _ room: FlushRoom, _ request: GradientRequest) {
    self.recorder = recorder
    self.room = room
    self.request = request
    gradients = [Slice?](repeating: nil, count: request.sources.count)
  }

  mutating func plan(_ plans: [Plan], _ memory: inout FlushMemory) throws(DeviceError) {
    room.sums.begin(recorder.values.count)
    room.sourceIndex.begin(recorder.values.count)
    for (index, source) in request.sources.enumerated() {
      room.sourceIndex[source] = Int32(index)
    }
    for index in room.blocks.indices.reversed() {
      let (block, plan) = (room.blocks[index], plans[index])
      if plan.backward != nil, block.lossResult != nil || hasUpstream(block, plan) {
        var call = Call(block: index)
        try bindUpstream(block, plan, &call)
        try bindTargets(block, plan, &call, &memory)
        calls.append(call)
      }
      for number in room.results[block.results] where !room.sourceIndex.contains(number) {
        guard let sum = room.sums[number] else { continue }
        memory.freeRow(sum, recorder.values[Int(number)].type, block.device)
        room.sums[number] = nil
      }
    }
    // A source that is listed twice has one gradient.
    for (index, source) in request.sources.enumerated() {
      gradients[index] = room.sourceIndex[source].flatMap { gradients[Int($0)] }
    }
  }

  private func hasUpstream(_ block: BlockSpan, _ plan: Plan) -> Bool {
    block.results.contains {
      plan.readsUpstream[$0 - block.results.lowerBound] && room.sums.contains(room.results[$0])
    }
  }

  private mutating func bindUpstream(
    _ block: BlockSpan, _ plan: Plan, _ call: inout Call
  ) throws(DeviceError) {
    let first = upstream.count
    for (i, k) in block.results.enumerated() where plan.readsUpstream[i] {
      let number = room.results[k]
      if let sum = room.sums[number] {
        upstream.append(Binding(index: i, place: sum))
      } else {
        _ = try engine.zeroPage(recorder.values[Int(number)].type.byteCount, block.device)
        upstream.append(Binding(index: i, place: .absent))
      }
    }
    call.upstream = first..<upstream.count
  }

  private mutating func bindTargets(
    _ block: BlockSpan, _ plan: Plan, _ call: inout Call, _ memory: inout FlushMemory
  ) throws(DeviceError) {
    let first = (targets.count, copies.count, additions.count)
    var spent: [(place: Place, type: TensorType)] = []
    for (i, k) in block.operands.enumerated() where plan.producesGradient[i] {
      let number = room.operands[k]
      let value = recorder.values[Int(number)]
      if let result = plan.shortcuts?.gradients[i] {
        try handOn(room.results[block.results.lowerBound + result], to: number, &memory)
        continue
      }
      var place: Place
      if let sum = room.sums[number] {
        place = try memory.makeRow(value.type, block.device)
        spent.append((place, value.type))
        additions.append(Transfer(into: sum, from: place, type: value.type))
      } else {
        place = try makeSum(number, &memory)
      }
      targets.append(Binding(index: i, place: place))
    }
    call.targets = first.0..<targets.count
    call.copies = first.1..<copies.count
    call.additions = first.2..<additions.count
    for (place, type) in spent { memory.freeRow(place, type, block.device) }
  }

  /// Makes a result's upstream gradient that of an operand, without a kernel where it can.
  private mutating func handOn(
    _ result: Int32, to operand: Int32, _ memory: inout FlushMemory
  ) throws(DeviceError) {
    let type = recorder.values[Int(operand)].type
    let from = room.sums[result] ?? .absent
    if let sum = room.sums[operand] {
      if case .absent = from { return }
      additions.append(Transfer(into: sum, from: from, type: type))
    } else if room.sums.contains(result), !room.sourceIndex.contains(result),
      !room.sourceIndex.contains(operand)
    {
      // Nobody else reads it: from here on it is the operand's.
      room.sums[operand] = from
      room.sums[result] = nil
    } else {
      copies.append(Transfer(into: try makeSum(operand, &memory), from: from, type: type))
    }
  }

  /// Where the first part of a gradient goes.
  private mutating func makeSum(
    _ number: Int32, _ memory: inout FlushMemory
  ) throws(DeviceError) -> Place {
    let value = recorder.values[Int(number)]
    let place =
      if let source = room.sourceIndex[number] {
        try storage(value, Int(source))
      } else {
        try memory.makeRow(value.type, value.device)
      }
    room.sums[number] = place
    return place
  }

  /// Memory for the gradient of a source.
  private mutating func storage(_ value: Value, _ index: Int) throws(DeviceError) -> Place {
    let backend = try engine.backend(value.device)
    let slice: Slice
    if request.usesGradientStorage, let variable = value.variable {
      slice = try variable.gradientStorage(on: backend)
    } else {
      slice = Slice(
        buffer: try backend.pool.make(value.type.byteCount, on: backend), byteOffset: 0)
    }
    gradients[index] = slice
    return .memory(slice.buffer.memory, slice.byteOffset)
  }
}

extension Variable {
  /// Memory for the gradient: a range of the flat gradients, or a buffer of its own.
  fileprivate func gradientStorage(on backend: any Backend) throws(DeviceError) -> Slice {
    if let gradientSlice { return gradientSlice }
    let slice = Slice(
      buffer: try backend.pool.make(type.byteCount, on: backend), byteOffset: 0)
    gradientSlice = slice
    return slice
  }
}
