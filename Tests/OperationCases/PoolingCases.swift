import EspalierTensor

extension OperationCases {
  /// Maximum, average and global average pools.
  public static let pooling: [OperationCase] =
    maximumPools + averagePools + [
      OperationCase(
        "reduce/global average pool of 16", [OperationInput([2, 16, 4, 4])],
        torch: "x[0].mean((2, 3), keepdim=True)", .sum(terms: 16), isIntegerExact: true
      ) { [globalAveragePool2d($0[0])] },
      OperationCase(
        "reduce/global average pool of 5", [OperationInput([3, 5, 7, 3])],
        torch: "x[0].mean((2, 3), keepdim=True)", .sum(terms: 21)
      ) { [globalAveragePool2d($0[0])] },
    ]

  private static let geometries: [(Shape, IntPair, IntPair?, IntPair)] = [
    ([2, 16, 6, 6], 3, 1, 1), ([2, 5, 7, 6], 3, 1, 1), ([2, 5, 7, 6], 3, 2, 1),
    ([1, 16, 8, 8], 3, 2, 1), ([2, 16, 6, 6], 2, nil, 0), ([1, 7, 6, 4], 2, nil, 0),
    ([1, 5, 7, 5], [3, 2], [2, 1], [1, 0]), ([1, 3, 9, 9], 5, 2, 2), ([2, 19, 4, 5], 2, 1, 1),
    ([3, 1, 5, 5], 3, 3, 0), ([1, 5, 3, 3], 3, 1, 1), ([2, 16, 1, 1], 1, 1, 0),
    ([0, 16, 4, 4], 3, 1, 1),
  ]

  private static func label(_ geometry: (Shape, IntPair, IntPair?, IntPair)) -> String {
    let (x, kernel, stride, padding) = geometry
    let step = stride ?? kernel
    return "\(x) kernel \(kernel.height)x\(kernel.width) stride \(step.height)x\(step.width) "
      + "padding \(padding.height)x\(padding.width)"
  }

  private static func arguments(_ geometry: (Shape, IntPair, IntPair?, IntPair)) -> String {
    let (_, kernel, stride, padding) = geometry
    let step = stride ?? kernel
    return "(\(kernel.height), \(kernel.width)), (\(step.height), \(step.width)), "
      + "(\(padding.height), \(padding.width))"
  }

  private static let maximumPools: [OperationCase] =
    geometries.map { geometry in
      let (x, kernel, stride, padding) = geometry
      return OperationCase(
        "max_pool2d/\(label(geometry))", [OperationInput(x, .distinct)],
        torch: "F.max_pool2d(x[0], \(arguments(geometry)))", .sum(terms: 1), isIntegerExact: true,
        isTwiceDifferentiable: false
      ) { [maxPool2d($0[0], kernelSize: kernel, stride: stride, padding: padding)] }
    } + [
      OperationCase(
        "max_pool2d/equal maxima", [OperationInput([2, 3, 6, 6], .integers(0, 1))],
        torch: "F.max_pool2d(x[0], 3, 2, 1)", .sum(terms: 1), isIntegerExact: true,
        isTwiceDifferentiable: false, isAtKink: true
      ) { [maxPool2d($0[0], kernelSize: 3, stride: 2, padding: 1)] },
      OperationCase(
        "max_pool2d/negative numbers beside padding",
        [OperationInput([1, 5, 4, 4], .uniform(-2, -1))],
        torch: "F.max_pool2d(x[0], 3, 1, 1)", .sum(terms: 1), isTwiceDifferentiable: false
      ) { [maxPool2d($0[0], kernelSize: 3, stride: 1, padding: 1)] },
    ]

  private static let averagePools: [OperationCase] = geometries.flatMap { geometry in
    [true, false].map { countsPadding in
      let (x, kernel, stride, padding) = geometry
      let terms = kernel.height * kernel.width
      return OperationCase(
        "avg_pool2d/\(label(geometry))\(countsPadding ? "" : " counts inside only")",
        [OperationInput(x)],
        torch: "F.avg_pool2d(x[0], \(arguments(geometry)), False, "
          + "\(countsPadding ? "True" : "False"))", .sum(terms: terms),
        isIntegerExact: terms & (terms - 1) == 0 && (countsPadding || padding.height == 0)
      ) {
        [
          averagePool2d(
            $0[0], kernelSize: kernel, stride: stride, padding: padding,
            countIncludePad: countsPadding)
        ]
      }
    }
  }
}
