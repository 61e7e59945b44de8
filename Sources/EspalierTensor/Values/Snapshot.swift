/// What variables held at one time, on their device.
public struct Snapshot {
  private let variables: [Variable]
  private let copies: [MemoryCopy]
  private let claim: StorageClaim

  /// A copy of the contents of variables in flat storage: one launch for each storage.
  package init(of variables: [Variable]) throws(DeviceError) {
    self.variables = variables
    claim = StorageClaim(variables)
    // Neighbours are copied in one piece.
    var pieces: [(slice: Slice, byteCount: Int)] = []
    for variable in variables.sorted(by: { $0.slice.byteOffset < $1.slice.byteOffset }) {
      let slice = variable.slice
      let last = pieces.lastIndex { $0.slice.buffer === slice.buffer }
      let end = last.map { pieces[$0].slice.byteOffset + FlatStorage.aligned(pieces[$0].byteCount) }
      if let last, end == slice.byteOffset {
        pieces[last].byteCount =
          slice.byteOffset + variable.type.byteCount - pieces[last].slice.byteOffset
      } else {
        pieces.append((slice, variable.type.byteCount))
      }
    }
    var copies: [MemoryCopy] = []
    if let backend = variables.first?.slice.buffer.backend {
      let total = pieces.reduce(0) { $0 + FlatStorage.aligned($1.byteCount) }
      let buffer = try backend.pool.make(total, on: backend)
      var end = 0
      for (slice, byteCount) in pieces {
        copies.append(
          MemoryCopy(
            from: slice, to: Slice(buffer: buffer, byteOffset: end), byteCount: byteCount))
        end += FlatStorage.aligned(byteCount)
      }
      try Executor.finishBeforeWrite()
      if !Rehearsal.isRunning { try MemoryCopy.run(copies, on: backend) }
    }
    self.copies = copies
  }

  /// Puts the contents back, to the last bit.
  package func restore() throws(DeviceError) {
    claim.check("a snapshot")
    guard let backend = variables.first?.slice.buffer.backend else { return }
    try Executor.finishBeforeWrite()
    if !Rehearsal.isRunning {
      try MemoryCopy.run(
        copies.map { MemoryCopy(from: $0.to, to: $0.from, byteCount: $0.byteCount) }, on: backend)
    }
    for variable in variables { variable.touch() }
  }

  /// Whether this is a snapshot of these variables.
  package func isOf(_ other: [Variable]) -> Bool {
    variables.count == other.count && zip(variables, other).allSatisfy { $0 === $1 }
  }
}

extension Variable {
  /// Replaces the contents of variables by those of tensors, on their device.
  ///
  /// - Precondition: Each tensor has its variable's shape, element type and device.
  package static func assign(_ values: [Tensor], to variables: [Variable]) throws(DeviceError) {
    precondition(
      values.count == variables.count, "\(values.count) values for \(variables.count) variables")
    let sources = try zip(values, variables).map { value, variable throws(DeviceError) -> Tensor in
      precondition(
        value.shape == variable.type.shape && value.dtype == variable.type.dtype
          && value.device == variable.device,
        "a value \(value.type) on \(value.device) for a variable \(variable.type) on \(variable.device)"
      )
      let layout = variable.type.layout
      let value =
        value.value.type.layout == layout ? value : record(LayoutConversion(to: layout), value)
      // What lies in a variable might be overwritten before it is copied.
      return value.value.contents == nil ? value : try value.snapshot()
    }
    let recorder = Recorder.current
    if recorder.kind == .step { try recorder.keep(sources) }
    try Executor.finishBeforeWrite()
    if let backend = variables.first?.slice.buffer.backend, !Rehearsal.isRunning {
      var copies: [MemoryCopy] = []
      for (source, variable) in zip(sources, variables) {
        copies.append(
          MemoryCopy(
            from: try source.store(), to: variable.slice, byteCount: variable.type.byteCount))
      }
      try MemoryCopy.run(copies, on: backend)
    }
    for variable in variables { variable.touch() }
  }
}
