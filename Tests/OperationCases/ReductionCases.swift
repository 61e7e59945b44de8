import EspalierTensor

extension OperationCases {
  private static let axes: [(Shape, [Int]?)] = [
    ([2, 16, 3, 4], nil), ([2, 5, 3, 4], [0, 2, 3]), ([2, 5, 3, 4], [1]), ([2, 5, 3, 4], [-1]),
    ([3, 16, 2, 2], [2]), ([3, 7, 2, 5], [0]), ([2, 5, 4, 3], [1, 3]), ([2, 16, 3, 3], [2, 3]),
    ([3, 4, 5, 2], [0, 1]), ([4, 7], [0]), ([4, 7], [1]), ([5], nil), ([1, 1], [0]),
    ([3, 4, 5], [0, 2]), ([3, 4, 5], [1]), ([2, 3, 2, 3, 2], [1, 3]), ([1, 1, 1, 1], nil),
  ]

  /// Sums, means, maxima, variances and the index of the maximum.
  public static let reduction: [OperationCase] =
    axes.flatMap { shape, list in
      [false, true].flatMap { keeps in family(shape, list, keeps) }
    } + positions + [
      OperationCase(
        "reduce/sum of many", [OperationInput([3, 5000])], torch: nil, .sum(terms: 5000),
        isIntegerExact: true
      ) { [$0[0].sum(axes: [1])] },
      OperationCase(
        "reduce/mean of many", [OperationInput([4096, 3])], torch: nil, .sum(terms: 4096),
        isIntegerExact: true
      ) { [$0[0].mean(axes: [0])] },
      OperationCase(
        "reduce/equal maxima", [OperationInput([4, 6], .integers(0, 2))],
        torch: "x[0].amax(1)", .exact, isTwiceDifferentiable: false, isAtKink: true
      ) { [$0[0].max(axes: [1])] },
      OperationCase(
        "reduce/variance without correction", [OperationInput([3, 5, 4, 2])],
        torch: "x[0].var((0, 2, 3), correction=0)", .relative
      ) { [$0[0].variance(axes: [0, 2, 3], correction: 0)] },
    ]

  private static func family(_ shape: Shape, _ list: [Int]?, _ keeps: Bool) -> [OperationCase] {
    let axes = list ?? Array(0..<shape.rank)
    let count = axes.reduce(1) { $0 * shape[$1] }
    let label = "\(shape)\(list.map { " over \($0)" } ?? "")\(keeps ? " keeping" : "")"
    let dims = "\(axes), keepdim=\(keeps ? "True" : "False")"
    let isPower = count & (count - 1) == 0
    return [
      OperationCase(
        "reduce/sum \(label)", [OperationInput(shape)], torch: "x[0].sum(\(dims))",
        .sum(terms: count), isIntegerExact: true
      ) { [$0[0].sum(axes: list, keepingDimensions: keeps)] },
      OperationCase(
        "reduce/mean \(label)", [OperationInput(shape)], torch: "x[0].mean(\(dims))",
        .sum(terms: count), isIntegerExact: isPower
      ) { [$0[0].mean(axes: list, keepingDimensions: keeps)] },
      OperationCase(
        "reduce/max \(label)", [OperationInput(shape, .distinct)], torch: "x[0].amax(\(dims))",
        .exact
      ) { [$0[0].max(axes: list, keepingDimensions: keeps)] },
    ]
      + (count > 1
        ? [
          OperationCase(
            "reduce/variance \(label)", [OperationInput(shape)],
            torch: "x[0].var(\(axes), correction=1, keepdim=\(keeps ? "True" : "False"))", .relative
          ) { [$0[0].variance(axes: list, keepingDimensions: keeps)] }
        ] : [])
  }

  private static let positions: [OperationCase] =
    ([
      ([4, 7], -1), ([4, 7], 0), ([5], 0), ([2, 16, 3, 3], 1), ([2, 5, 3, 4], 2),
      ([2, 5, 3, 4], 3),
      ([3, 5, 2, 2], 0), ([2, 3, 4], 1), ([3, 1], 1),
    ] as [(Shape, Int)]).map { shape, axis in
      OperationCase(
        "reduce/argmax \(shape) along \(axis)", [OperationInput(shape, .distinct)],
        torch: "x[0].argmax(\(axis))", .exact, differentiable: []
      ) { [$0[0].argmax(axis: axis)] }
    } + [
      OperationCase(
        "reduce/argmax of equal numbers", [OperationInput([3, 4], .list([0, 1, 1, 0, 2, 2, 2]))],
        // PyTorch does not promise the first one; this does.
        torch: "torch.tensor([1, 0, 3])", .exact, differentiable: []
      ) { [$0[0].argmax(axis: 1)] }
    ]
}
