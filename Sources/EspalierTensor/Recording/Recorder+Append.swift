extension Recorder {
  /// Appends an operation; returns the numbers of its results.
  func append<O: Operation>(
    _ operation: O, _ inputs: UnsafeBufferPointer<Tensor>, _ scalars: [Scalar]
  ) -> Range<Int> {
    guard isInLayout(operation, inputs) else {
      return inLayout(operation, inputs).withUnsafeBufferPointer {
        append(operation, $0, scalars)
      }
    }
    let known = operations[operation]
    if !known.fits(inputs) { known.fit(operation, to: inputs) }
    return append(known, inputs, scalars)
  }

  private func append(
    _ known: KnownOperation, _ inputs: UnsafeBufferPointer<Tensor>, _ scalars: [Scalar]
  ) -> Range<Int> {
    if records.count >= 65_536 { flushLongRecord() }
    let device = inputs.first?.device ?? self.device ?? Device.current
    let firstOperand = Int32(operands.count)
    for index in 0..<inputs.count {
      let value = inputs[index].value
      precondition(
        value.device == device,
        "\(stem(known)): operand \(index) is on \(value.device), operand 0 on \(device); use to(_:)"
      )
      operands.append(number(of: value))
    }
    let first = values.count
    let firstScalar = Int32(self.scalars.count)
    if !scalars.isEmpty { self.scalars.append(contentsOf: scalars) }
    let index = Int32(records.count)
    let resultCount = known.resultTypes.count
    for k in 0..<resultCount {
      let value = Value(type: known.resultTypes[k], device: device, origin: known.number)
      value.epoch = epoch
      value.number = Int32(first + k)
      values.append(value)
      producers.append(index)
    }
    if known.traits.hasEffect { pendingEffects.append(index) }
    records.append(
      Record(
        operation: known.number, firstOperand: firstOperand, operandCount: Int32(inputs.count),
        firstResult: Int32(first), resultCount: Int32(resultCount), firstScalar: firstScalar,
        scalarCount: Int32(scalars.count), traits: known.traits, barrier: barrier))
    return first..<first + resultCount
  }

  private func stem(_ known: KnownOperation) -> String {
    let operation = OperationTable.shared[known.number]
    return type(of: operation).stem
  }

  /// Outside a step nothing ends a record; its operands are stored before the numbers are reused.
  private func flushLongRecord() {
    guard kind == .immediate, deferredError == nil else { return }
    do throws(DeviceError) {
      try Executor.flushImmediate(self)
    } catch { deferredError = error }
  }

  // MARK: Layout

  private func isInLayout<O: Operation>(
    _ operation: O, _ inputs: UnsafeBufferPointer<Tensor>
  ) -> Bool {
    for index in 0..<inputs.count {
      let layout = inputs[index].value.type.layout
      if layout == .standard && !O.takesConvolutionWeights { continue }
      if layout != needed(operation, inputs, index) { return false }
    }
    return true
  }

  private func needed<O: Operation>(
    _ operation: O, _ inputs: UnsafeBufferPointer<Tensor>, _ index: Int
  ) -> Layout {
    switch operation.requiredLayout(at: index) {
    case .standard: return .standard
    case .convolutionWeight: return .convolutionWeight
    case .same:
      let layout = inputs[index].value.type.layout
      return inputs.allSatisfy { $0.value.type.layout == layout && $0.shape == inputs[0].shape }
        ? layout : .standard
    }
  }

  /// The operands with conversions recorded where the operation needs another layout.
  private func inLayout<O: Operation>(
    _ operation: O, _ inputs: UnsafeBufferPointer<Tensor>
  ) -> [Tensor] {
    inputs.indices.map { index in
      let layout = needed(operation, inputs, index)
      if inputs[index].value.type.layout == layout { return inputs[index] }
      return withUnsafePointer(to: inputs[index]) {
        let results = append(LayoutConversion(to: layout), .init(start: $0, count: 1), [])
        return Tensor(values[results.lowerBound])
      }
    }
  }
}

/// Records an operation of one operand with one result.
func record<O: Operation>(_ operation: O, _ x: Tensor, scalars: [Scalar] = []) -> Tensor {
  let recorder = Recorder.current
  let results = withUnsafePointer(to: x) {
    recorder.append(operation, .init(start: $0, count: 1), scalars)
  }
  return Tensor(recorder.values[results.lowerBound])
}

/// Records an operation of any operands with one result.
func record<O: Operation>(_ operation: O, _ inputs: Tensor..., scalars: [Scalar] = []) -> Tensor {
  let recorder = Recorder.current
  let results = inputs.withUnsafeBufferPointer { recorder.append(operation, $0, scalars) }
  return Tensor(recorder.values[results.lowerBound])
}

/// Records an operation with several results.
func recordAll<O: Operation>(_ operation: O, _ inputs: [Tensor], scalars: [Scalar] = []) -> [Tensor]
{
  let recorder = Recorder.current
  let results = inputs.withUnsafeBufferPointer { recorder.append(operation, $0, scalars) }
  return results.map { Tensor(recorder.values[$0]) }
}
