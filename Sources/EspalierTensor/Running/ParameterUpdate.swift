import CKernels

/// A parameter and the state that an update's rule keeps for it.
package struct UpdateRange {
  let variable: Variable
  /// In the order of the kernel's operands; nil where the rule keeps none.
  let states: [Variable?]

  package init(variable: Variable, states: [Variable?]) {
    self.variable = variable
    self.states = states
  }
}

/// The fused update of an optimizer: norm, clipping and the rule, each one launch over all parameters
/// of one storage.
///
/// What changes from step to step is which parameters have a gradient: their rows are written into a
/// table that has room for all, so any subset costs the same and nothing is allocated.
package final class ParameterUpdate<Rule: UpdateRule> {
  /// `[clip factor, norm, whether the update was stopped]`.
  let scale: Variable
  /// The updates that each range got (int32), counted on the device: stopped ones are not.
  package let steps: Variable
  /// Stops this update and all that share it once a norm was not finite.
  package let flag: NonFiniteFlag
  private let ranges: [UpdateRange]
  /// The ranges' indices, those of one storage side by side.
  private let order: [Int]
  private let device: Device
  /// Sums of squares, one a piece.
  let partials: Buffer
  private let table: LaunchTable
  private var present: [(index: Int, gradient: Slice)] = []
  /// The gradient of ranges without one, where that counts as zero.
  private let zeros: Buffer?
  private var absent: [Int] = []

  /// An update of `ranges`, all on one device.
  package init(
    _ ranges: [UpdateRange], on device: Device, absentIsZero: Bool = false
  ) throws(DeviceError) {
    self.ranges = ranges
    self.device = device
    var first: [ObjectIdentifier: Int] = [:]
    let groups = ranges.enumerated().map { index, range -> Int in
      let buffer = ObjectIdentifier(range.variable.slice.buffer)
      let group = first[buffer] ?? index
      first[buffer] = group
      return group
    }
    order = ranges.indices.sorted { (groups[$0], $0) < (groups[$1], $1) }
    for range in ranges {
      precondition(
        range.variable.device == device && range.states.count == Rule.stateCount,
        "an update on \(device) of a variable on \(range.variable.device)")
    }
    (scale, steps) = try Device.with(device) {
      Result { () throws(DeviceError) in
        (
          try Variable([1, 0, 0] as [Float], shape: [3]),
          try Variable([Int32](repeating: 0, count: ranges.count), shape: [ranges.count])
        )
      }
    }.get()
    flag = try NonFiniteFlag.shared(on: device)
    let pieces = ranges.reduce(0) { $0 + Array(ParameterUpdate.pieces(of: $1.variable)).count }
    let backend = try Engine.shared.backend(device)
    partials = try backend.pool.make(max(pieces, 1) * 8, on: backend)
    let calls = [LaunchTable.Call.norm, .clip, Rule.call]
    table = LaunchTable(
      calls, rowBytes: pieces * (calls[0].rowBytes + calls[2].rowBytes) + calls[1].rowBytes)
    present.reserveCapacity(ranges.count)
    absent.reserveCapacity(ranges.count)
    zeros =
      absentIsZero
      ? try Engine.shared.lock.with { () throws(DeviceError) in
        try Engine.shared.zeroPage(Int(ESP_UPDATE_PIECE) * 4, device)
      } : nil
  }

  /// Updates the ranges that have a gradient; all of them where none counts as zero.
  ///
  /// - Parameters:
  ///   - maximumNorm: The global norm of the gradients that there are is clipped to this; 0 is no
  ///     limit.
  ///   - rule: The rule for a range, by its index; asked once for each that is updated.
  package func run(
    _ gradients: Gradients, maximumNorm: Float, _ rule: (_ index: Int) -> Rule
  ) throws(DeviceError) {
    try Executor.finishBeforeWrite()
    if Rehearsal.isRunning { return }
    defer {
      present.removeAll(keepingCapacity: true)
      absent.removeAll(keepingCapacity: true)
    }
    for index in order {
      if let gradient = gradients.slice(of: ranges[index].variable) {
        present.append((index, gradient))
      } else if zeros != nil {
        absent.append(index)
      }
    }
    guard !present.isEmpty || !absent.isEmpty else { return }
    table.clear()
    writeNorm(maximumNorm)
    for (index, gradient) in present { write(index, gradient, rule(index)) }
    for index in absent { write(index, nil, rule(index)) }
    let backend = try Engine.shared.backend(device)
    try Engine.shared.lock.with { () throws(DeviceError) in try table.run(on: backend) }
    for index in present.lazy.map(\.index) + absent {
      ranges[index].variable.touch()
      for state in ranges[index].states { state?.touch() }
    }
    scale.touch()
    steps.touch()
  }

  /// The elements at which pieces of a variable begin.
  private static func pieces(of variable: Variable) -> StrideTo<Int> {
    stride(from: 0, to: variable.type.shape.count, by: Int(ESP_UPDATE_PIECE))
  }

  private func writeNorm(_ maximumNorm: Float) {
    var count: Int32 = 0
    for (index, gradient) in present {
      let variable = ranges[index].variable
      table.begin(0) { $0 == 0 ? gradient.buffer.memory : partials.memory }
      for first in ParameterUpdate.pieces(of: variable) {
        var row = esp_squared_norm_row()
        row.operand = (
          esp_operand(gradient, first), esp_operand(offset: UInt32(count), stride: 1, flags: 0)
        )
        row.count = ParameterUpdate.length(variable, first)
        table.add(row)
        count += 1
      }
    }
    table.begin(1) { operand in
      switch operand {
      case 0: partials.memory
      case 1: scale.slice.buffer.memory
      default: flag.variable.slice.buffer.memory
      }
    }
    var row = esp_clip_scale_row()
    row.operand = (
      esp_operand(offset: 0, stride: 1, flags: 0), esp_operand(scale.slice),
      esp_operand(flag.variable.slice)
    )
    row.scalar = (maximumNorm)
    row.count = count
    table.add(row)
  }

  /// - Parameter gradient: Nil is zero.
  private func write(_ index: Int, _ gradient: Slice?, _ rule: Rule) {
    let range = ranges[index]
    guard let memory = (gradient?.buffer ?? zeros)?.memory else { return }
    table.begin(2) { operand in
      switch operand {
      case 0: scale.slice.buffer.memory
      case 1: steps.slice.buffer.memory
      case 2: range.variable.slice.buffer.memory
      case 3: memory
      // An absent operand is not read, but its place must be memory.
      default: (range.states[operand - 4] ?? range.variable).slice.buffer.memory
      }
    }
    for first in ParameterUpdate.pieces(of: range.variable) {
      func state(_ k: Int) -> esp_operand {
        range.states[k].map { esp_operand($0.slice, first) } ?? .absent
      }
      let operands = (
        esp_operand(scale.slice), first == 0 ? esp_operand(steps.slice, index) : .absent,
        esp_operand(range.variable.slice, first),
        gradient.map { esp_operand($0, first) } ?? esp_operand(offset: 0, stride: 1, flags: 0)
      )
      table.add(rule.row(operands, state, ParameterUpdate.length(range.variable, first)))
    }
  }

  /// Elements of the piece of a variable that begins at `first`.
  private static func length(_ variable: Variable, _ first: Int) -> Int32 {
    min(ESP_UPDATE_PIECE, Int32(variable.type.shape.count - first))
  }
}

extension LaunchTable.Call {
  /// Operands: gradient, partials.
  fileprivate static let norm = LaunchTable.Call(
    kernel: Kernel("squared_norm", esp_squared_norm_f32, esp_squared_norm_f64),
    operands: [.float32, .float64], rowBytes: MemoryLayout<esp_squared_norm_row>.stride, items: 1)
  /// Operands: partials, scale, flag.
  fileprivate static let clip = LaunchTable.Call(
    kernel: Kernel("clip_scale", esp_clip_scale_f32, esp_clip_scale_f64),
    operands: [.float64, .float32, .float32], rowBytes: MemoryLayout<esp_clip_scale_row>.stride,
    items: 1)
}
