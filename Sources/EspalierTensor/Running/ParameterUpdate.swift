import CKernels

/// The fused optimizer updates over ranges of parameters; a range is a variable that has a gradient.
package struct ParameterUpdate {
  /// One variable with its gradient and the optimizer's state for it.
  package struct Range {
    package var variable: Variable
    package var states: [Variable]
    /// Scalars of the update's row, in the row's order.
    package var scalars: [Float]
    /// The row's trailing integers: flags of the update.
    package var flags: [Int32]

    package init(variable: Variable, states: [Variable], scalars: [Float], flags: [Int32]) {
      self.variable = variable
      self.states = states
      self.scalars = scalars
      self.flags = flags
    }
  }

  package enum Rule {
    case sgd
    case adam
    case rmsprop
  }

  /// `[clip factor, norm, sticky flag of a norm that was not finite]`.
  package let scale: Variable
  private var partials: Buffer?
  private let device: Device

  package init(device: Device) throws(DeviceError) {
    self.device = device
    scale = try Device.with(device) {
      Result { () throws(DeviceError) in try Variable([1, 0, 0] as [Float], shape: [3]) }
    }.get()
  }

  /// Updates every range: at most five launches where variables share flat storage.
  ///
  /// - Parameters:
  ///   - maximumNorm: The gradients' global norm is clipped to this; 0 is no limit.
  package mutating func run(
    _ rule: Rule, _ ranges: [Range], gradients: Gradients, maximumNorm: Float
  ) throws(DeviceError) {
    let present = ranges.compactMap { range -> (Range, Slice)? in
      gradients.slice(of: range.variable).map { (range, $0) }
    }
    guard !present.isEmpty else { return }
    try Executor.finishBeforeWrite()
    if Rehearsal.isRunning { return }
    let backend = try Engine.shared.backend(device)
    var extents: [Extent] = []
    for (range, gradient) in present {
      let slices = [range.variable.slice, gradient] + range.states.map(\.slice)
      let count = range.variable.type.shape.count
      if let last = extents.last, last.continues(with: slices, range) {
        let gap = slices[0].byteOffset / 4 - (last.slices[0].byteOffset / 4 + last.count)
        extents[extents.count - 1].count += gap + count
      } else {
        extents.append(
          Extent(slices: slices, count: count, scalars: range.scalars, flags: range.flags))
      }
    }
    let outcome = Engine.shared.lock.with { [self] () -> Result<Buffer?, DeviceError> in
      do throws(DeviceError) {
        var copy = self
        try copy.launch(rule, extents, backend, maximumNorm)
        return .success(copy.partials)
      } catch { return .failure(error) }
    }
    partials = try outcome.get()
    for (range, _) in present {
      range.variable.touch()
      for state in range.states { state.touch() }
    }
    scale.touch()
  }

  /// Adjacent variables that one row updates.
  private struct Extent {
    var slices: [Slice]
    var count: Int
    var scalars: [Float]
    var flags: [Int32]

    func continues(with next: [Slice], _ range: Range) -> Bool {
      guard range.scalars == scalars, range.flags == flags, next.count == slices.count else {
        return false
      }
      let distance = next[0].byteOffset - slices[0].byteOffset
      guard distance == (count * 4 + 63) & ~63 else { return false }
      return zip(slices, next).allSatisfy {
        $0.buffer === $1.buffer && $1.byteOffset - $0.byteOffset == distance
      }
    }
  }

  private mutating func launch(
    _ rule: Rule, _ extents: [Extent], _ backend: any Backend, _ maximumNorm: Float
  ) throws(DeviceError) {
    if partials.map({ $0.byteCount < extents.count * 8 }) ?? true {
      partials = try backend.pool.make(extents.count * 8, on: backend)
    }
    guard let partials else { return }
    let partialSpace = ResolvedSpace(memory: partials.memory, byteOffset: 0)
    let scaleSpace = ResolvedSpace(
      memory: scale.slice.buffer.memory, byteOffset: scale.slice.byteOffset)

    func run(_ program: Program, _ spaces: [ResolvedSpace]) throws(DeviceError) {
      [UInt32(0)].withUnsafeBufferPointer { program.patch(slots: $0.baseAddress.unsafelyUnwrapped) }
      Engine.shared.count(\.launches, program.launches.count)
      try backend.run(program, spaces)
    }
    func space(_ buffer: Buffer) -> ResolvedSpace {
      ResolvedSpace(memory: buffer.memory, byteOffset: 0)
    }
    func operand(_ slice: Slice) -> esp_operand {
      esp_operand(offset: UInt32(slice.byteOffset / 4), stride: 1, flags: 0)
    }
    let absent = esp_operand(offset: 0, stride: 0, flags: ESP_ABSENT)

    // Extents that share their buffers run in one launch.
    var groups: [[ObjectIdentifier]: [Int]] = [:]
    var order: [[ObjectIdentifier]] = []
    for (index, extent) in extents.enumerated() {
      let key = extent.slices.map { ObjectIdentifier($0.buffer) } + [ObjectIdentifier(backend)]
      if groups[key] == nil { order.append(key) }
      groups[key, default: []].append(index)
    }
    var norms: [ObjectIdentifier: [Int]] = [:]
    var normOrder: [ObjectIdentifier] = []
    for (index, extent) in extents.enumerated() {
      let key = ObjectIdentifier(extent.slices[1].buffer)
      if norms[key] == nil { normOrder.append(key) }
      norms[key, default: []].append(index)
    }
    for key in normOrder {
      let members = norms[key] ?? []
      let rows = members.map { index in
        var row = esp_squared_norm_row()
        row.operand.0 = operand(extents[index].slices[1])
        row.operand.1 = esp_operand(offset: UInt32(index), stride: 1, flags: 0)
        row.count = Int32(extents[index].count)
        return row
      }
      try run(
        .direct(
          .squaredNorm, .float32, spaces: [0, 1], rows: rows, dtypes: [.float32, .float64],
          openCL: .items(1)),
        [space(extents[members[0]].slices[1].buffer), partialSpace])
    }
    var clip = esp_clip_scale_row()
    clip.count = Int32(extents.count)
    try run(
      .direct(
        .clipScale, .float32, spaces: [0, 1], rows: [clip], scalars: [Scalar(maximumNorm)],
        dtypes: [.float64, .float32], openCL: .items(1)),
      [partialSpace, scaleSpace])

    for key in order {
      let members = groups[key] ?? []
      let buffers = extents[members[0]].slices.map(\.buffer)
      let largest = members.map { extents[$0].count }.max() ?? 1
      let items = elementwiseItems(largest)
      let nowhere = space(buffers[0])
      switch rule {
      case .sgd:
        let rows = members.map { index in
          let extent = extents[index]
          var row = esp_sgd_row()
          row.operand.0 = operand(extent.slices[0])
          row.operand.1 = operand(extent.slices[1])
          row.operand.2 = extent.slices.count > 2 ? operand(extent.slices[2]) : absent
          row.operand.3 = esp_operand(offset: 0, stride: 1, flags: 0)
          row.scalar = (
            extent.scalars[0], extent.scalars[1], extent.scalars[2], extent.scalars[3]
          )
          row.count = Int32(extent.count)
          row.nesterov = extent.flags[0]
          row.first = extent.flags[1]
          return row
        }
        try run(
          .direct(
            .sgd, .float32, spaces: [0, 1, 2, 3], rows: rows,
            openCL: .items(items)),
          [
            space(buffers[0]), space(buffers[1]), buffers.count > 2 ? space(buffers[2]) : nowhere,
            scaleSpace,
          ])
      case .adam:
        let rows = members.map { index in
          let extent = extents[index]
          let s = extent.scalars
          var row = esp_adam_row()
          row.operand.0 = operand(extent.slices[0])
          row.operand.1 = operand(extent.slices[1])
          row.operand.2 = operand(extent.slices[2])
          row.operand.3 = operand(extent.slices[3])
          row.operand.4 = esp_operand(offset: 0, stride: 1, flags: 0)
          row.scalar = (s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8])
          row.count = Int32(extent.count)
          row.decoupled = extent.flags[0]
          return row
        }
        try run(
          .direct(
            .adam, .float32, spaces: [0, 1, 2, 3, 4], rows: rows,
            openCL: .items(items)),
          buffers.map(space) + [scaleSpace])
      case .rmsprop:
        let rows = members.map { index in
          let extent = extents[index]
          let s = extent.scalars
          var row = esp_rmsprop_row()
          row.operand.0 = operand(extent.slices[0])
          row.operand.1 = operand(extent.slices[1])
          row.operand.2 = operand(extent.slices[2])
          var next = 3
          // Flags: centered, momentum.
          row.operand.3 = extent.flags[0] == 1 ? operand(extent.slices[next]) : absent
          if extent.flags[0] == 1 { next += 1 }
          row.operand.4 = extent.flags[1] == 1 ? operand(extent.slices[next]) : absent
          row.operand.5 = esp_operand(offset: 0, stride: 1, flags: 0)
          row.scalar = (s[0], s[1], s[2], s[3], s[4], s[5])
          row.count = Int32(extent.count)
          return row
        }
        let flags = extents[members[0]].flags
        let centered = flags[0] == 1 ? space(buffers[3]) : nowhere
        let momentum = flags[1] == 1 ? space(buffers[flags[0] == 1 ? 4 : 3]) : nowhere
        try run(
          .direct(
            .rmsprop, .float32, spaces: [0, 1, 2, 3, 4, 5], rows: rows,
            openCL: .items(items)),
          [space(buffers[0]), space(buffers[1]), space(buffers[2]), centered, momentum, scaleSpace])
      }
    }
  }
}

extension Kernel {
  static let squaredNorm = Kernel(
    "squared_norm", esp_squared_norm_f32, esp_squared_norm_f64)
  static let clipScale = Kernel("clip_scale", esp_clip_scale_f32, esp_clip_scale_f64)
  static let sgd = Kernel("sgd", esp_sgd_f32, esp_sgd_f64)
  static let adam = Kernel("adam", esp_adam_f32, esp_adam_f64)
  static let rmsprop = Kernel("rmsprop", esp_rmsprop_f32, esp_rmsprop_f64)
}
