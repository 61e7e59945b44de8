/// A recorded pullback: operations in the order they were recorded, operands by number.
///
/// Numbers below `inputCount` are what the pullback captured and, last, the upstream gradient.
struct RecordedPullback: Hashable, Sendable {
  struct Node: Hashable, Sendable {
    var operation: Int32
    var operands: [Int32]
    var resultCount: Int
    var scalarCount: Int
  }
  var nodes: [Node] = []
  var inputCount = 0
  var resultTypes: [TensorType] = []
  /// Where each input's gradient is found; -1 is none.
  var outputs: [Int32] = []
}

/// The identity with a gradient of the user's own.
///
/// Operands: the value, what the gradient is for, then what the pullback captured.
struct CustomGradient: Operation {
  static let stem = "custom_gradient"
  let pullback: RecordedPullback
  let sourceCount: Int

  /// A user's gradient of a sum need not be the sum of the gradients.
  static let mergesBeforeGradients = false

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }

  func emit(into builder: inout LaunchBuilder) {
    Copy(carriesGradient: false).emit(into: &builder)
  }

  func isDifferentiable(at index: Int) -> Bool { index >= 1 && index <= sourceCount }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    var numbered = Array(context.operands[(1 + sourceCount)...]) + [context.dy]
    var scalar = 0
    Recorder.current.betweenBarriers {
      for node in pullback.nodes {
        let operands = node.operands.map { numbered[Int($0)] }
        let scalars = Array(context.scalars[scalar..<scalar + node.scalarCount])
        scalar += node.scalarCount
        numbered += OperationTable.shared[node.operation].recordAgain(operands, scalars)
      }
    }
    var gradients: [Tensor?] = context.operands.map { _ in nil }
    for (index, output) in pullback.outputs.enumerated() where output >= 0 {
      gradients[1 + index] = numbered[Int(output)]
    }
    return gradients
  }
}

extension Operation {
  /// Records the same operation on other operands.
  fileprivate func recordAgain(_ operands: [Tensor], _ scalars: [Scalar]) -> [Tensor] {
    recordAll(self, operands, scalars: scalars)
  }
}

/// Gives `value` a gradient of its own towards `sources`.
///
/// `pullback` maps the upstream gradient to one gradient for each source (nil is zero). It is
/// recorded at once with a placeholder upstream, so it may not read values; floats in it stay data.
public func withGradient(
  of value: Tensor, wrt sources: [Tensor], _ pullback: (_ upstream: Tensor) -> [Tensor?]
) -> Tensor {
  let outer = Recorder.current
  let inner = Recorder(.planning)
  // Captured tensors keep their identity; inside, each gets a number at its first use.
  let upstream = Value(type: value.type, device: value.device)
  upstream.epoch = inner.epoch
  upstream.number = 0
  inner.values.append(upstream)
  inner.producers.append(-1)
  inner.captured = []
  inner.device = value.device
  inner.updatesVariables = false
  inner.randomSeed = outer.randomSeed
  inner.randomStep = outer.randomStep
  inner.randomCount = outer.randomCount
  let outputs = inner.whileCurrent { pullback(Tensor(upstream)) }
  precondition(outputs.count == sources.count, "custom gradient: one gradient for each source")
  var captured: [Tensor] = []
  var numbers: [Int32: Int32] = [:]
  let outputNumbers = outputs.map { output in
    output.map { inner.number(of: $0.value) }
  }
  for index in inner.values.indices where index > 0 && inner.producers[index] < 0 {
    numbers[Int32(index)] = Int32(captured.count)
    captured.append(Tensor(inner.values[index]))
  }
  numbers[0] = Int32(captured.count)
  var recorded = RecordedPullback()
  recorded.inputCount = captured.count + 1
  var scalars: [Scalar] = []
  var next = Int32(recorded.inputCount)
  for record in inner.records {
    for r in 0..<record.resultCount {
      numbers[record.firstResult + r] = next
      next += 1
    }
    let operands = (0..<record.operandCount).map {
      numbers[inner.operands[Int(record.firstOperand + $0)]].unsafelyUnwrapped
    }
    scalars += (0..<record.scalarCount).map { inner.scalars[Int(record.firstScalar + $0)] }
    recorded.nodes.append(
      .init(
        operation: record.operation, operands: operands, resultCount: Int(record.resultCount),
        scalarCount: Int(record.scalarCount)))
  }
  recorded.outputs = outputNumbers.map { number in
    number.flatMap { numbers[$0] } ?? -1
  }
  for (value, epoch, number) in inner.captured ?? [] {
    value.epoch = epoch
    value.number = number
  }
  return recordAll(
    CustomGradient(pullback: recorded, sourceCount: sources.count),
    [value] + sources + captured, scalars: scalars)[0]
}
