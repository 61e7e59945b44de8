import EspalierTensor

extension OperationCases {
  /// Sums of many tensors, with and without weights.
  public static let combine: [OperationCase] =
    [1, 2, 3, 8, 15, 16, 17, 20, 33].flatMap { count in
      ([[2, 16, 2, 2], [3, 5]] as [Shape]).flatMap { shape in
        [
          OperationCase(
            "combine/sum of \(count) \(shape)",
            (0..<count).map { _ in OperationInput(shape) }, torch: "sum(x)", .sum(terms: count),
            isIntegerExact: true
          ) { [addAll($0)] },
          OperationCase(
            "combine/weighted sum of \(count) \(shape)",
            (0..<count).map { _ in OperationInput(shape) } + [OperationInput([count])],
            torch: "sum(w * t for w, t in zip(x[-1], x))", .sum(terms: count),
            isIntegerExact: true, flops: 2 * count * shape.count
          ) { [weightedSum(Array($0.dropLast()), weights: $0[count])] },
        ]
      }
    } + [
      OperationCase(
        "combine/weights by index",
        [
          OperationInput([2, 5, 3, 3]), OperationInput([2, 5, 3, 3]), OperationInput([2, 5, 3, 3]),
          OperationInput([8]),
        ], torch: "x[3][6] * x[0] + x[3][0] * x[1] + x[3][3] * x[2]", .sum(terms: 3),
        isIntegerExact: true
      ) { [weightedSum(Array($0[..<3]), weights: $0[3], indices: [6, 0, 3])] },
      OperationCase(
        "combine/one weight for two tensors",
        [OperationInput([4, 7]), OperationInput([4, 7]), OperationInput([2])],
        torch: "x[2][1] * x[0] + x[2][1] * x[1]", .sum(terms: 2), isIntegerExact: true
      ) { [weightedSum(Array($0[..<2]), weights: $0[2], indices: [1, 1])] },
      OperationCase(
        "combine/the same tensor twice", [OperationInput([4, 7]), OperationInput([2])],
        torch: "x[1][0] * x[0] + x[1][1] * x[0]", .sum(terms: 2), isIntegerExact: true
      ) { [weightedSum([$0[0], $0[0]], weights: $0[1])] },
      OperationCase(
        "combine/one channel", [OperationInput([3, 1, 2, 2]), OperationInput([3, 1, 2, 2])],
        torch: "x[0] + x[1]", .sum(terms: 2), isIntegerExact: true
      ) { [addAll($0)] },
      OperationCase(
        "combine/no images",
        [OperationInput([0, 5, 2, 2]), OperationInput([0, 5, 2, 2]), OperationInput([2])],
        torch: "x[0] + x[1]", .sum(terms: 2), differentiable: []
      ) { [weightedSum(Array($0[..<2]), weights: $0[2])] },
    ]
}
