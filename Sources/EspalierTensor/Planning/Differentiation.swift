/// Reverse-mode differentiation of a stretch of a record.
///
/// The same function serves planning (on a symbolic record) and gradients inside gradients (on the
/// open one): the rules are tensor functions, so what they append is recorded like anything else.
enum Differentiation {
  /// Which values of `recorder` depend, differentiably, on one of `sources` within `range`.
  static func dependents(
    _ recorder: Recorder, _ range: Range<Int>, on sources: [Int32]
  ) -> [Bool] {
    var needs = [Bool](repeating: false, count: recorder.values.count)
    for source in sources { needs[Int(source)] = true }
    for index in range {
      let record = recorder.records[index]
      var any = record.traits.carriesGradient
      for k in 0..<Int(record.operandCount) where !any {
        any =
          needs[Int(recorder.operands[Int(record.firstOperand) + k])]
          && record.traits.isDifferentiable(at: k)
      }
      guard any else { continue }
      for r in 0..<Int(record.resultCount) {
        let value = Int(record.firstResult) + r
        if recorder.values[value].type.dtype.isFloatingPoint { needs[value] = true }
      }
    }
    return needs
  }

  /// Appends the backward pass of `range` to the thread's open record, which must be `recorder`.
  ///
  /// - Parameters:
  ///   - seeds: Upstream gradients by value.
  ///   - needs: Per value, whether a gradient is of use (`dependents`).
  /// - Returns: The summed gradients of values that no record in `range` made.
  static func append(
    to recorder: Recorder, _ range: Range<Int>, seeds: [Int32: Tensor], needs: [Bool]
  ) -> [Int32: Tensor] {
    var contributions: [Int32: [Tensor]] = seeds.mapValues { [$0] }
    func isNeeded(_ value: Int32) -> Bool { Int(value) < needs.count && needs[Int(value)] }

    for index in range.reversed() {
      let record = recorder.records[index]
      let results = record.firstResult..<record.firstResult + record.resultCount
      guard results.contains(where: { contributions[$0] != nil }) else { continue }
      let operation = OperationTable.shared[record.operation]
      let first = Int(record.firstOperand)
      let operandNumbers = (0..<Int(record.operandCount)).map { recorder.operands[first + $0] }
      let isWanted = operandNumbers.indices.map {
        isNeeded(operandNumbers[$0]) && record.traits.isDifferentiable(at: $0)
      }
      let upstream = results.map { contributions.removeValue(forKey: $0).map(sum) }
      guard isWanted.contains(true) else { continue }
      let scalars = (0..<Int(record.scalarCount)).map {
        recorder.scalars[Int(record.firstScalar) + $0]
      }
      let context = GradientContext(
        operands: operandNumbers.map { Tensor(recorder.values[Int($0)]) },
        results: results.map { Tensor(recorder.values[Int($0)]) },
        upstream: upstream, scalars: scalars, isWanted: isWanted)
      let gradients = operation.gradient(context)
      precondition(
        gradients.count == operandNumbers.count, "\(type(of: operation).stem): gradients")
      for k in operandNumbers.indices where isWanted[k] {
        guard let gradient = gradients[k] else { continue }
        let expected = recorder.values[Int(operandNumbers[k])].type
        precondition(
          gradient.shape == expected.shape,
          "\(type(of: operation).stem): gradient \(gradient.shape) of operand \(k) \(expected.shape)"
        )
        let inLayout =
          gradient.value.type.layout == expected.layout
          ? gradient : record_(LayoutConversion(to: expected.layout), gradient)
        contributions[operandNumbers[k], default: []].append(inLayout)
      }
    }
    return contributions.mapValues(sum)
  }

  private static func record_(_ operation: LayoutConversion, _ tensor: Tensor) -> Tensor {
    record(operation, tensor)
  }

  private static func sum(_ tensors: [Tensor]) -> Tensor {
    tensors.count == 1 ? tensors[0] : addAll(tensors)
  }
}
