/// Where the values of a flush lie: decided and obtained before anything runs.
///
/// A device's arena holds, one behind the other: frames and results in record order, gradients that
/// cross blocks, scratch.
struct FlushMemory {
  /// The parts of one device's arena.
  private struct Region {
    let device: Device
    let arena: Arena
    var stack: ArenaOffsets
    var rows: ArenaRows
    var rowsOffset = 0
    var scratch = 0
    var scratchOffset = 0
  }

  /// A result that nothing computes and that must have memory of its own all the same.
  struct Handover {
    var block: Int
    var from: Place
    var to: Int32
  }

  let recorder: Recorder
  let room: FlushRoom
  let engine = Engine.shared
  private var regions: [Region] = []
  /// By block.
  private var frameOffsets: [Int] = []
  /// What outlives the flush: handed to the values only when all has run.
  private(set) var stored: [(value: Value, slice: Slice)] = []
  /// Results to copy once their block's forward has run.
  private(set) var copies: [Handover] = []
  /// Memory of its own that lives as long as the flush.
  private var buffers: [Buffer] = []
  /// By block, in an exact arena: what values beyond the plan's spaces lie in.
  private var ownSpaces: [[ResolvedSpace]] = []

  init(_ recorder: Recorder, _ room: FlushRoom) {
    self.recorder = recorder
    self.room = room
  }

  private mutating func region(_ device: Device) throws(DeviceError) -> Int {
    if let known = regions.firstIndex(where: { $0.device == device }) { return known }
    let arena = try engine.arena(device)
    regions.append(
      Region(
        device: device, arena: arena, stack: ArenaOffsets(chunkBytes: arena.chunkBytes),
        rows: ArenaRows(chunkBytes: arena.chunkBytes)))
    return regions.count - 1
  }

  // MARK: Layout

  /// Stacks frames and results that only this flush reads, in record order.
  ///
  /// Outside a step such results lie among the rows, until they were read for the last time.
  mutating func layOut(_ plans: [Plan], outliving: [Int32]) throws(DeviceError) {
    room.places.begin(recorder.values.count)
    room.outlives.begin(recorder.values.count)
    for value in outliving { room.outlives.insert(value) }
    for (blockIndex, plan) in plans.enumerated() {
      let block = room.blocks[blockIndex]
      let index = try region(block.device)
      frameOffsets.append(regions[index].stack.push(plan.frameBytes))
      for (k, number) in room.results[block.results].enumerated() {
        let value = recorder.values[Int(number)]
        // What an update left lies in its variable.
        if value.contents != nil { continue }
        if let place = shortcut(plan.shortcuts?.results[k], block) {
          if isShared(place) && !room.outlives.contains(number) {
            room.places[number] = place
            continue
          }
          copies.append(Handover(block: blockIndex, from: place, to: number))
        }
        if room.outlives.contains(number) { continue }
        room.places[number] =
          if recorder.kind == .immediate {
            try makeRow(value.type, block.device)
          } else if Arena.isExact {
            try own(value.type, block.device)
          } else {
            .arena(regions[index].stack.push(value.type.byteCount))
          }
      }
      if recorder.kind == .immediate { freeRows(after: blockIndex) }
      regions[index].scratch = max(
        regions[index].scratch,
        max(plan.forward.scratchBytes, plan.backward?.scratchBytes ?? 0))
    }
  }

  /// Memory of a tensor's size that lives as long as the flush.
  private mutating func own(_ type: TensorType, _ device: Device) throws(DeviceError) -> Place {
    let backend = try engine.backend(device)
    let buffer = try backend.pool.make(type.byteCount, on: backend)
    buffers.append(buffer)
    return .memory(buffer.memory, 0)
  }

  /// Room for a gradient that crosses blocks, until `freeRow`.
  mutating func makeRow(_ type: TensorType, _ device: Device) throws(DeviceError) -> Place {
    if Arena.isExact { return try own(type, device) }
    return .row(regions[try region(device)].rows.allocate(type.byteCount))
  }

  mutating func freeRow(_ place: Place, _ type: TensorType, _ device: Device) {
    guard case .row(let offset) = place,
      let index = regions.firstIndex(where: { $0.device == device })
    else { return }
    regions[index].rows.free(offset, type.byteCount)
  }

  /// Frees the results that no block behind this one reads: no backward will.
  private mutating func freeRows(after index: Int) {
    let block = room.blocks[index]
    for number in room.operands[block.operands] + room.results[block.results]
    where room.seenIn[number] == Int32(index) {
      if let place = room.places[number] {
        freeRow(place, recorder.values[Int(number)].type, block.device)
      }
    }
  }

  // MARK: Reservation

  /// Obtains the arenas and the memory of what outlives the flush; adds to `counters`.
  mutating func reserve(
    _ plans: [Plan], outliving: [Int32], _ counters: inout EngineCounters
  ) throws(DeviceError) {
    for index in regions.indices {
      var stack = regions[index].stack
      if regions[index].rows.peak > 0 { stack.startChunk() }
      regions[index].rowsOffset = stack.end
      stack.skip(regions[index].rows.peak)
      regions[index].scratchOffset = stack.push(regions[index].scratch)
      let bytes = stack.end + 64
      let arena = regions[index].arena
      let largest = max(stack.largest, regions[index].rows.largest)
      guard largest <= arena.chunkBytes else {
        throw .outOfMemory(
          wanted: largest, free: arena.chunkBytes,
          largest: "\(regions[index].device) gives at most \(arena.chunkBytes) bytes in one buffer")
      }
      if try arena.reserve(bytes) && !engine.isRehearsing { counters.arenaGrowths += 1 }
      counters.bytesPlanned += bytes
    }
    for number in outliving where room.blockOf.contains(number) && room.places[number] == nil {
      let value = recorder.values[Int(number)]
      guard value.slice == nil, value.contents == nil else { continue }
      let backend = try engine.backend(value.device)
      let slice = Slice(
        buffer: try backend.pool.make(value.type.byteCount, on: backend), byteOffset: 0)
      stored.append((value, slice))
      room.places[number] = .memory(slice.buffer.memory, 0)
    }
    for number in room.operands where isAbsent(number) { try makeZeros(number) }
    for copy in copies { try makeZeros(copy.to) }
    guard Arena.isExact else { return }
    for (block, plan) in zip(room.blocks, plans) {
      var spaces: [ResolvedSpace] = []
      for bytes in plan.ownSpaces {
        let place = try own(TensorType([bytes], .bool), block.device)
        spaces.append(try space(place, block.device))
      }
      ownSpaces.append(spaces)
    }
  }

  /// Takes the needs of this flush into what a rehearsal found.
  func note(in rehearsed: inout [Device: RehearsedMemory]) {
    for region in regions {
      var frames: [UInt64: Int] = [:]
      var end = region.stack.end
      for index in room.blocks.indices.reversed() where room.blocks[index].device == region.device {
        frames[room.blocks[index].position, default: 0] += end - frameOffsets[index]
        end = frameOffsets[index]
      }
      rehearsed[region.device, default: RehearsedMemory()].add(
        frames: frames, scratch: region.scratch, rows: region.rows.peak,
        largest: max(region.stack.largest, region.scratch), chunkBytes: region.arena.chunkBytes)
    }
  }

  // MARK: Running

  /// Fills `room.spaces` with a block's, those of gradients still nowhere.
  func resolveSpaces(_ index: Int, _ plan: Plan) throws(DeviceError) {
    let block = room.blocks[index]
    guard let region = regions.first(where: { $0.device == block.device }) else { return }
    room.spaces.removeAll(keepingCapacity: true)
    room.spaces.append(region.arena.space(at: frameOffsets[index]))
    room.spaces.append(region.arena.space(at: region.scratchOffset))
    room.isAbsent.removeAll(keepingCapacity: true)
    room.isAbsent.append(contentsOf: repeatElement(false, count: 2))
    for k in block.operands {
      room.spaces.append(try space(of: room.operands[k]))
      room.isAbsent.append(isAbsent(room.operands[k]))
    }
    for k in block.results { room.spaces.append(try space(of: room.results[k])) }
    let nowhere = region.arena.space(at: 0)
    room.isAbsent.append(contentsOf: repeatElement(false, count: plan.spaceCount))
    while room.spaces.count < plan.spaceCount { room.spaces.append(nowhere) }
    if Arena.isExact { room.spaces += ownSpaces[index] }
  }

  func space(of number: Int32) throws(DeviceError) -> ResolvedSpace {
    let value = recorder.values[Int(number)]
    if let place = room.places[number] { return try space(place, value.device) }
    if value.isAbsent { return try space(.absent, value.device) }
    guard let slice = value.slice ?? value.variable?.slice else {
      preconditionFailure("\(value.name) has no place")
    }
    return ResolvedSpace(memory: slice.buffer.memory, byteOffset: slice.byteOffset)
  }

  /// The memory of a place, once reserved.
  func space(_ place: Place, _ device: Device) throws(DeviceError) -> ResolvedSpace {
    switch place {
    case .memory(let memory, let offset): return ResolvedSpace(memory: memory, byteOffset: offset)
    case .value(let number): return try space(of: number)
    case .absent:
      return ResolvedSpace(memory: try engine.zeroPage(0, device).memory, byteOffset: 0)
    case .arena(let offset): return arena(device).arena.space(at: offset)
    case .row(let offset):
      let region = arena(device)
      return region.arena.space(at: region.rowsOffset + offset)
    }
  }

  private func arena(_ device: Device) -> Region {
    guard let region = regions.first(where: { $0.device == device }) else {
      preconditionFailure("\(device) has no arena in this flush")
    }
    return region
  }
}
