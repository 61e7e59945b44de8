extension FlushMemory {
  /// Where a result lies that nothing computes.
  func shortcut(_ source: Shortcuts.Source?, _ block: BlockSpan) -> Place? {
    switch source {
    case nil: return nil
    case .zero: return .absent
    case .operand(let k):
      let operand = room.operands[block.operands.lowerBound + k]
      if isAbsent(operand) { return .absent }
      if case .value(let first)? = room.places[operand] { return .value(first) }
      return .value(operand)
    }
  }

  /// Whether a place may be that of two values: not where memory is written in place.
  func isShared(_ place: Place) -> Bool {
    guard case .value(let number) = place else { return true }
    let value = recorder.values[Int(number)]
    return value.contents == nil && value.variable == nil
  }

  func isAbsent(_ number: Int32) -> Bool {
    if case .absent? = room.places[number] { return true }
    return recorder.values[Int(number)].isAbsent
  }

  /// Makes sure of as many zeros as a value has.
  func makeZeros(_ number: Int32) throws(DeviceError) {
    let value = recorder.values[Int(number)]
    _ = try engine.zeroPage(value.type.byteCount, value.device)
  }
}
