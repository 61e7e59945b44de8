import CKernels

/// A batched product of matrices, each operand transposed or not.
struct MatrixMultiply: Operation {
  static let stem = "matmul"
  let transposesA: Bool
  let transposesB: Bool

  private func dimensions(_ a: Shape, _ b: Shape) -> (m: Int, n: Int, k: Int, kb: Int) {
    (
      transposesA ? a[-1] : a[-2], transposesB ? b[-2] : b[-1], transposesA ? a[-2] : a[-1],
      transposesB ? b[-1] : b[-2]
    )
  }

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let (a, b) = (operands[0].shape, operands[1].shape)
    precondition(
      a.rank >= 2 && b.rank >= 2 && a.rank <= 3 && b.rank <= 3
        && operands[0].dtype == operands[1].dtype,
      "matmul: \(operands[0]) and \(operands[1]); needs [M, K] or [B, M, K]")
    let (m, n, k, kb) = dimensions(a, b)
    let (ba, bb) = (a.rank == 3 ? a[0] : 1, b.rank == 3 ? b[0] : 1)
    precondition(
      k == kb && (ba == bb || ba == 1 || bb == 1), "matmul: shapes \(a) and \(b) do not fit")
    let batch = max(ba, bb)
    return [
      TensorType(a.rank == 3 || b.rank == 3 ? [batch, m, n] : [m, n], operands[0].dtype)
    ]
  }

  func multiplyAdds(_ operands: [Shape], _ results: [Shape]) -> Int {
    results[0].count * (transposesA ? operands[0][-2] : operands[0][-1])
  }

  func emit(into builder: inout LaunchBuilder) {
    let (a, b) = (builder.operandTypes[0].shape, builder.operandTypes[1].shape)
    let (m, n, k, _) = dimensions(a, b)
    var row = esp_matmul_row()
    row.m = Int32(m)
    row.n = Int32(n)
    row.k = Int32(k)
    row.lda = Int32(a[-1])
    row.ldb = Int32(b[-1])
    row.ldy = Int32(n)
    row.transpose_a = transposesA ? 1 : 0
    row.transpose_b = transposesB ? 1 : 0
    let (ba, bb) = (a.rank == 3 ? a[0] : 1, b.rank == 3 ? b[0] : 1)
    row.batch = Int32(max(ba, bb))
    row.batch_a = ba > 1 ? Int32(m * k) : 0
    row.batch_b = bb > 1 ? Int32(k * n) : 0
    row.batch_y = Int32(m * n)
    builder.emit(
      .matmul, builder.resultTypes[0].dtype,
      [builder.operand(0), builder.operand(1), builder.result()], row: row,
      openCL: .matrixProduct(items: Int(row.batch) * ((m + 7) / 8) * ((n + 31) / 32)))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let (a, b) = (context.operands[0], context.operands[1])
    let dy = context.dy
    func product(_ x: Tensor, _ tx: Bool, _ y: Tensor, _ ty: Bool, like z: Tensor) -> Tensor {
      let full = record(MatrixMultiply(transposesA: tx, transposesB: ty), x, y)
      return sum(full, to: z.shape)
    }
    let da =
      context.isWanted[0]
      ? (transposesA
        ? product(b, transposesB, dy, true, like: a)
        : product(dy, false, b, !transposesB, like: a)) : nil
    let db =
      context.isWanted[1]
      ? (transposesB
        ? product(dy, true, a, transposesA, like: b)
        : product(a, !transposesA, dy, false, like: b)) : nil
    return [da, db]
  }
}

extension Kernel {
  static let matmul = Kernel("matmul", esp_matmul_f32, esp_matmul_f64)
}

/// The product of matrices `[M, K]·[K, N]` or of batches `[B, M, K]·[B, K, N]`; a batch of one
/// repeats.
public func matmul(_ a: Tensor, _ b: Tensor, transposingA: Bool = false, transposingB: Bool = false)
  -> Tensor
{
  record(MatrixMultiply(transposesA: transposingA, transposesB: transposingB), a, b)
}

/// `x · weightᵀ + bias`: `[N, in] → [N, out]`.
///
/// - Parameter weight: `[out, in]`, as in PyTorch.
public func linear(_ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil) -> Tensor {
  if let bias {
    precondition(
      bias.rank == 1 && weight.rank == 2 && bias.shape[0] == weight.shape[0],
      "linear: bias \(bias.shape) for weight \(weight.shape), needs [out]")
  }
  let y = matmul(x, weight, transposingB: true)
  guard let bias else { return y }
  Recorder.current.biasedOutputs += y.shape.count
  return y + bias
}
