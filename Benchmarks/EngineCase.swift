import Espalier
import OperationCases

/// An operation as a model calls it: recorded, planned once, replayed.
///
/// A step holds it several times on different inputs, so that what a step costs by itself counts
/// little. The backward row is forward, a weighted sum as the loss, and backward.
final class EngineCase {
  private static let copies = 8

  /// The line without its times; all of one operation.
  private(set) var row: OperationRow
  private let operation: OperationCase
  private let isBackward: Bool
  private var inputs: [[Tensor]] = []
  private var upstream: [[Tensor]] = []

  /// Inputs on the current device, checked against the float64 reference; nil where there is nothing
  /// to differentiate.
  init?(_ operation: OperationCase, _ device: Device, isBackward: Bool) throws {
    if isBackward && operation.differentiable.isEmpty { return nil }
    self.operation = operation
    self.isBackward = isBackward
    row = OperationRow(
      op: operation.stem + (isBackward ? ", forward and backward" : ", forward"),
      variant: "engine", device: "\(device)",
      shape: String(operation.name.dropFirst(operation.stem.count + 1)),
      flops: Double(operation.flops) * (isBackward ? 3 : 1), bytes: 0, error: 0)
    row.operationsPerCall = Double(EngineCase.copies)
    for copy in 0..<EngineCase.copies {
      let tensors = try operation.tensors(operation.values(seed: UInt64(copy)))
      inputs.append(tensors)
      guard isBackward else { continue }
      let shapes = try step { operation.function(tensors) }.map(\.shape)
      upstream.append(
        try shapes.enumerated().map { index, shape in
          var generator = CaseGenerator(name: "\(operation.name)!\(index)", seed: UInt64(copy))
          let values = (0..<shape.count).map { _ in Float(generator.uniform(0.5, 1)) }
          return try Tensor(values, shape: shape)
        })
    }
    // Operands and results once; with the gradients of both.
    row.bytes = Double(try operation.byteCount()) * (isBackward ? 2 : 1)
    let found = try results(inputs[0], upstream.first ?? [])
    let exact = try Device.with(.cpu) {
      try Planning.$option.withValue(.reference) {
        try results(
          try inputs[0].map { try $0.to(.cpu) }, try (upstream.first ?? []).map { try $0.to(.cpu) })
      }
    }
    row.error = zip(found, exact).reduce(0) { worst, pair in
      let error = relativeError(pair.0, pair.1)
      return worst.isNaN || error <= worst ? worst : error
    }
  }

  /// One step over all copies, waited for.
  func run() throws {
    let last: Tensor
    if isBackward {
      let (pack, _) = try valueAndGradient(wrt: inputs.flatMap { sources($0) }) { () -> [Tensor] in
        [addAll(zip(inputs, upstream).map { loss($0, $1) })]
      }
      last = pack[0]
    } else {
      let results = try step { inputs.flatMap { operation.function($0) } }
      last = results[results.count - 1]
    }
    if !last.device.isCPU { try last.wait() }
  }

  private func sources(_ tensors: [Tensor]) -> [Tensor] {
    operation.differentiable.map { tensors[$0] }
  }

  private func loss(_ inputs: [Tensor], _ upstream: [Tensor]) -> Tensor {
    let terms = zip(operation.function(inputs), upstream)
      .filter { $0.0.dtype.isFloatingPoint }.map { ($0.0 * $0.1).sum() }
    return addAll(terms)
  }

  /// What inputs give, as numbers of the host.
  private func results(_ inputs: [Tensor], _ upstream: [Tensor]) throws -> [[Double]] {
    guard isBackward else {
      return try step { operation.function(inputs) }.map { try $0.numbers() }
    }
    let (pack, gradients) = try valueAndGradient(wrt: sources(inputs)) { [loss(inputs, upstream)] }
    return try pack.map { try $0.numbers() } + gradients.compactMap { try $0?.numbers() }
  }
}

extension Tensor {
  /// The elements as numbers of the host.
  func numbers() throws -> [Double] {
    switch dtype {
    case .float32: try scalars(as: Float.self).map(Double.init)
    case .float64: try scalars(as: Double.self)
    case .int32: try scalars(as: Int32.self).map(Double.init)
    case .bool: try scalars(as: Bool.self).map { $0 ? 1 : 0 }
    }
  }

  /// Waits until everything is done, by reading one element.
  func wait() throws {
    let corner = try step {
      slice(starts: shape.dimensions.map { _ in 0 }, sizes: shape.dimensions.map { _ in 1 })
    }
    _ = try corner.numbers()
  }
}
