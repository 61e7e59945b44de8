import EspalierTensor

extension OperationCases {
  /// Matrix products and the linear layer.
  public static let matmul: [OperationCase] =
    [false, true].flatMap { transposesA in
      [false, true].flatMap { transposesB in
        [(16, 32, 16), (5, 7, 3), (1, 1, 1), (33, 17, 9), (1, 40, 24)].map { m, n, k in
          product(nil, nil, m, n, k, transposesA, transposesB)
        }
      }
    } + [
      product(3, 3, 5, 7, 4, false, false),
      product(3, 3, 5, 7, 4, true, false),
      product(3, 3, 5, 7, 4, false, true),
      product(2, 2, 16, 16, 16, true, true),
      product(1, 3, 5, 4, 7, false, false),
      product(3, 1, 5, 4, 7, false, true),
      product(nil, 3, 5, 4, 7, true, false),
      product(3, nil, 5, 4, 7, false, false),
      product(0, 0, 5, 4, 7, false, false),
      product(nil, nil, 0, 4, 7, false, false),
      product(nil, nil, 3, 5, 4100, false, false, hasGolden: false),
      product(nil, nil, 2, 3, 4096, true, true, hasGolden: false),
      linear("with bias", 4, 7, 5, hasBias: true),
      linear("without bias", 3, 16, 32, hasBias: false),
      linear("one sample", 1, 33, 10, hasBias: true),
      linear("one feature", 6, 1, 1, hasBias: true),
    ]

  /// A batched or plain product; `batch` nil is a plain matrix.
  static func product(
    _ batchA: Int?, _ batchB: Int?, _ m: Int, _ n: Int, _ k: Int, _ transposesA: Bool,
    _ transposesB: Bool, hasGolden: Bool = true
  ) -> OperationCase {
    let a = (batchA.map { [$0] } ?? []) + (transposesA ? [k, m] : [m, k])
    let b = (batchB.map { [$0] } ?? []) + (transposesB ? [n, k] : [k, n])
    let batch = Swift.max(batchA ?? 1, batchB ?? 1)
    return OperationCase(
      "matmul/\(a)\(transposesA ? "ᵀ" : "") x \(b)\(transposesB ? "ᵀ" : "")",
      [OperationInput(Shape(a)), OperationInput(Shape(b))],
      torch: hasGolden
        ? "\(transposesA ? "x[0].mT" : "x[0]") @ \(transposesB ? "x[1].mT" : "x[1]")" : nil,
      .sum(terms: k), isIntegerExact: true, flops: 2 * batch * m * n * k
    ) {
      [
        EspalierTensor.matmul(
          $0[0], $0[1], transposingA: transposesA, transposingB: transposesB)
      ]
    }
  }

  private static func linear(
    _ label: String, _ samples: Int, _ features: Int, _ outputs: Int, hasBias: Bool
  ) -> OperationCase {
    OperationCase(
      "matmul/linear \(label)",
      [OperationInput([samples, features]), OperationInput([outputs, features])]
        + (hasBias ? [OperationInput([outputs])] : []),
      torch: "F.linear(x[0], x[1]\(hasBias ? ", x[2]" : ""))",
      .sum(terms: features + 1), isIntegerExact: true, flops: 2 * samples * features * outputs
    ) { [EspalierTensor.linear($0[0], $0[1], hasBias ? $0[2] : nil)] }
  }
}
