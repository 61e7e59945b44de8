import CKernels

/// A sum of any number of tensors, each perhaps weighted and perhaps normalised on load: a node of a
/// cell in one pass over its candidates' results.
///
/// Operands: for each term x; its mean and variance if it is normalised; its weights if it has any.
/// Scalars: for each weighted term the bits of the number of its weight.
struct CombineNormalized: Operation {
  static let stem = "combine_normalized"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let terms: [CombineTerm]

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.resultTypes[0]
    let channels = max(type.runLength, 1)
    var (operand, scalar) = (0, 0)
    var rows: [(operands: [Operand], scalars: [Scalar], row: esp_combine_normalized_row)] = []
    func next(_ isThere: Bool) -> Operand {
      defer { operand += isThere ? 1 : 0 }
      return isThere ? builder.operand(operand) : .absent
    }
    for term in terms {
      var row = esp_combine_normalized_row()
      row.channels = Int32(channels)
      row.pixels = Int32(type.shape.count / channels)
      let x = next(true)
      let (mean, variance) = (next(term.isNormalized), next(term.isNormalized))
      let weights = next(term.isWeighted)
      let index = term.isWeighted ? builder.scalars[scalar] : .bits(0)
      scalar += term.isWeighted ? 1 : 0
      rows.append(
        (
          [
            x, mean, variance, weights,
            builder.result().accumulating(!rows.isEmpty),
          ], [Scalar(term.epsilon), index], row
        ))
    }
    builder.emitRows(.combineNormalized, type.dtype, rows)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    preconditionFailure("\(Self.stem): fused operations are differentiated before they are fused")
  }
}

/// What the backward of a weighted sum needs of its terms, in one pass over them.
///
/// Operands: dy, the weights, then for each term x and, if it is normalised, its mean and variance.
/// Results: the weights' gradient if it is wanted; for each normalised term Σ dy and Σ dy·x̂, `[2, C]`,
/// and its weight once a channel, `[C]`: the sums and γ of its batch norm's backward from dy itself.
/// Scalars: for each term the bits of the number of its weight.
struct CombineSums: Operation {
  static let stem = "combine_normalized"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let terms: [CombineTerm]
  let wantsWeights: Bool

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let channels = operands[0].shape[1]
    let dtype = operands[0].dtype
    return (wantsWeights ? [operands[1]] : [])
      + terms.filter(\.isNormalized).flatMap { _ in
        [TensorType([2, channels], dtype), TensorType([channels], dtype)]
      }
  }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.operandTypes[0]
    var operand = 2
    var result = wantsWeights ? 1 : 0
    var rows: [(operands: [Operand], scalars: [Scalar], row: esp_combine_sums_row)] = []
    for (index, term) in terms.enumerated() {
      var row = esp_combine_sums_row()
      (row.images, row.pixels, row.channels) = type.imageSizes
      row.weights = Int32(builder.operandTypes[1].shape.count)
      let x = builder.operand(operand)
      let moments = (1...2).map {
        term.isNormalized ? builder.operand(operand + $0) : .absent
      }
      let sums = (0...1).map { term.isNormalized ? builder.result(result + $0) : .absent }
      operand += term.isNormalized ? 3 : 1
      result += term.isNormalized ? 2 : 0
      let dweights = wantsWeights ? builder.result(0).accumulating(index > 0) : .absent
      let workspace = builder.workspace(2 * Int(row.images * row.channels), .float64)
      rows.append(
        (
          [x] + moments + [builder.operand(0), builder.operand(1)] + sums
            + [dweights, workspace], [Scalar(term.epsilon), builder.scalars[index]], row
        ))
    }
    builder.emitRows(.combineSums, type.dtype, rows)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    preconditionFailure("\(Self.stem): fused operations are differentiated before they are fused")
  }
}

/// One term of a sum.
struct CombineTerm: Hashable, Sendable {
  var isNormalized = false
  var isWeighted = false
  /// Of the batch norm; 0 without one.
  var epsilon: Float = 0
}

extension Kernel {
  static let combineNormalized = Kernel(
    "combine_normalized", esp_combine_normalized_f32, nil, skipping: 1)
  static let combineSums = Kernel("combine_sums", esp_combine_sums_f32, nil)
}
