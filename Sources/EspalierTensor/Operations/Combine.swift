import CKernels

/// The sum of many tensors in one pass, each times a weight of its own if there are weights: a
/// mixture of candidates, a node of a cell, or gradients that meet.
///
/// Operands: the tensors, then, with weights, one vector. Scalars: for each tensor the bits of the
/// number of its element in that vector; which candidate is weighted is data, not structure.
struct Combine: Operation {
  static let stem = "combine"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let count: Int
  let isWeighted: Bool

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    precondition(
      count >= 1 && count <= Int(ESP_COMBINE_MAX), "combine: \(count) tensors, at most 16")
    for k in 1..<max(count, 1) where k < count {
      precondition(
        operands[k].shape == operands[0].shape && operands[k].dtype == operands[0].dtype,
        "combine: tensor \(k) is \(operands[k]), tensor 0 is \(operands[0])")
    }
    if isWeighted {
      precondition(
        operands[count].shape.rank == 1 && operands[count].dtype == operands[0].dtype,
        "combine: weights \(operands[count]) for \(count) tensors \(operands[0])")
    }
    return [operands[0]]
  }
  func requiredLayout(at index: Int) -> LayoutRequirement { isWeighted ? .standard : .same }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.resultTypes[0]
    var row = esp_combine_row()
    row.count = Int32(count)
    row.channels = Int32(max(type.runLength, 1))
    row.pixels = Int32(type.shape.count / max(type.runLength, 1))
    builder.emit(
      .combine, type.dtype,
      operands(&builder) + [isWeighted ? builder.operand(count) : .absent, builder.result()],
      scalars: padded(builder.scalars), row: row,
      openCL: .items(elementwiseItems(type.shape.count)))
  }

  private func operands(_ builder: inout LaunchBuilder) -> [Operand] {
    (0..<Int(ESP_COMBINE_MAX)).map { $0 < count ? builder.operand($0) : .absent }
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    var gradients: [Tensor?] = context.operands.map { _ in nil }
    for k in 0..<count where context.isWanted[k] {
      gradients[k] =
        isWeighted
        ? recordAll(
          Combine(count: 1, isWeighted: true), [context.dy, context.operands[count]],
          scalars: [context.scalars[k]])[0]
        : context.dy
    }
    if isWeighted && context.isWanted[count] {
      let xs = Array(context.operands[..<count])
      gradients[count] =
        recordAll(
          CombineWeightGradient(count: count, weightCount: context.operands[count].shape[0]),
          xs + [context.dy], scalars: context.scalars)[0]
    }
    return gradients
  }
}

/// `[Σ upstream ⊙ x_0, Σ upstream ⊙ x_1, …]`: what a weighted sum of the tensors gives its weights.
package func weightGradient(of tensors: [Tensor], upstream: Tensor) -> Tensor {
  recordAll(
    CombineWeightGradient(count: tensors.count, weightCount: tensors.count),
    tensors + [upstream], scalars: tensors.indices.map { .bits(UInt32($0)) })[0]
}

/// The gradient of a weighted sum towards its weights: `dw[indices[k]] = Σ dy · x_k`.
struct CombineWeightGradient: Operation {
  static let stem = "combine"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let count: Int
  let weightCount: Int

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [TensorType([weightCount], operands[0].dtype)]
  }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    var row = esp_combine_backward_row()
    row.count = Int32(count)
    let images = type.shape.rank == 4 ? max(type.shape[0], 1) : 1
    row.images = Int32(images)
    row.channels = Int32(max(type.runLength, 1))
    row.pixels = Int32(type.shape.count / max(type.runLength, 1))
    builder.emitFill(builder.result(), builder.resultTypes[0], Scalar.bits(0))
    let workspace = builder.workspace(count * images, .float64)
    builder.emit(
      .combineBackward, type.dtype,
      (0..<Int(ESP_COMBINE_MAX)).map { $0 < count ? builder.operand($0) : .absent }
        + [builder.operand(count), builder.result(), workspace],
      scalars: padded(builder.scalars), row: row,
      openCL: .items(count * images).then("esp_combine_backward_merge", items: count))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    // dw = Σ dy·x: towards x_k it is w̄_k·dy, towards dy the sum of w̄_k·x_k.
    let dw = context.dy
    var gradients: [Tensor?] = context.operands.map { _ in nil }
    for k in 0..<count where context.isWanted[k] {
      gradients[k] =
        recordAll(
          Combine(count: 1, isWeighted: true), [context.operands[count], dw],
          scalars: [context.scalars[k]])[0]
    }
    if context.isWanted[count] {
      gradients[count] =
        recordAll(
          Combine(count: count, isWeighted: true), Array(context.operands[..<count]) + [dw],
          scalars: context.scalars)[0]
    }
    return gradients
  }
}

private func padded(_ indices: [Scalar]) -> [Scalar] {
  indices + [Scalar](repeating: .bits(0), count: Int(ESP_COMBINE_MAX) - indices.count)
}

extension Kernel {
  static let combine = Kernel(
    "combine", esp_combine_f32, esp_combine_f64, skipping: Int(ESP_COMBINE_MAX))
  static let combineBackward = Kernel(
    "combine_backward", esp_combine_backward_f32, esp_combine_backward_f64,
    skipping: Int(ESP_COMBINE_MAX))
}

/// The sum of tensors of one shape, in order, in one pass.
public func addAll(_ tensors: [Tensor]) -> Tensor {
  precondition(!tensors.isEmpty, "addAll: no tensors")
  var rest = tensors[...]
  var result = rest.removeFirst()
  while !rest.isEmpty {
    let part = [result] + rest.prefix(Int(ESP_COMBINE_MAX) - 1)
    rest = rest.dropFirst(Int(ESP_COMBINE_MAX) - 1)
    result =
      result.dtype.isFloatingPoint
      ? recordAll(Combine(count: part.count, isWeighted: false), part)[0]
      : part.dropFirst().reduce(part[0]) { $0 + $1 }
  }
  return result
}

/// `Σ_k weights[indices[k]] · tensors[k]`, in one pass.
///
/// - Parameters:
///   - weights: A vector, differentiable.
///   - indices: Which weight each tensor takes; by default the k-th.
public func weightedSum(_ tensors: [Tensor], weights: Tensor, indices: [Int]? = nil) -> Tensor {
  let indices = indices ?? Array(tensors.indices)
  precondition(
    indices.count == tensors.count && indices.allSatisfy { $0 >= 0 && $0 < weights.shape.count },
    "weightedSum: indices \(indices) of weights \(weights.shape) for \(tensors.count) tensors")
  var parts: [Tensor] = []
  var start = 0
  while start < tensors.count {
    let end = min(start + Int(ESP_COMBINE_MAX), tensors.count)
    parts.append(
      recordAll(
        Combine(count: end - start, isWeighted: true), Array(tensors[start..<end]) + [weights],
        scalars: indices[start..<end].map { .bits(UInt32($0)) })[0])
    start = end
  }
  return parts.count == 1 ? parts[0] : addAll(parts)
}
