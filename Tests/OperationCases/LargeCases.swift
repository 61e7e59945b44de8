import EspalierTensor

extension OperationCases {
  /// Shapes of a supernet's step: worth timing, and large enough that every thread gets work.
  public static let large: [OperationCase] =
    [(16, 32), (32, 16), (64, 8)].flatMap { channels, size in
      [
        depthwise(channels, size, kernel: 3, dilation: 1, stride: 1),
        depthwise(channels, size, kernel: 3, dilation: 2, stride: 1),
        depthwise(channels, size, kernel: 5, dilation: 1, stride: 1),
        depthwise(channels, size, kernel: 5, dilation: 2, stride: 1),
        depthwise(channels, size, kernel: 5, dilation: 1, stride: 2),
        convolution(
          "pointwise \(channels) to \(channels) on \(size)x\(size)", [8, channels, size, size],
          to: channels, [1, 1], hasGolden: false),
        convolution(
          "3x3 \(channels) to \(channels) on \(size)x\(size)", [8, channels, size, size],
          to: channels, [3, 3], padding: 1, hasGolden: false),
        OperationCase(
          "max_pool2d/\(channels) on \(size)x\(size)",
          [OperationInput([8, channels, size, size], .integers(-9, 9))], torch: nil, .sum(terms: 1),
          isIntegerExact: true, isTwiceDifferentiable: false
        ) { [maxPool2d($0[0], kernelSize: 3, stride: 1, padding: 1)] },
        OperationCase(
          "avg_pool2d/\(channels) on \(size)x\(size)",
          [OperationInput([8, channels, size, size])], torch: nil, .sum(terms: 9)
        ) {
          [averagePool2d($0[0], kernelSize: 3, stride: 1, padding: 1, countIncludePad: false)]
        },
        OperationCase(
          "batch_norm/\(channels) on \(size)x\(size)",
          [OperationInput([8, channels, size, size])], torch: nil, .relative
        ) { [EspalierTensor.batchNorm($0[0])] },
        OperationCase(
          "combine/8 of \(channels) on \(size)x\(size)",
          (0..<8).map { _ in OperationInput([8, channels, size, size]) } + [OperationInput([8])],
          torch: nil, .sum(terms: 8), isIntegerExact: true
        ) { [weightedSum(Array($0.dropLast()), weights: $0[8])] },
      ]
    } + [
      convolution(
        "stem 3x3 on 32x32", [8, 3, 32, 32], to: 48, [3, 3], padding: 1, hasGolden: false),
      product(nil, nil, 96, 10, 256, false, true, hasGolden: false),
      product(nil, nil, 128, 128, 128, false, false, hasGolden: false),
      product(4, 4, 64, 48, 80, true, false, hasGolden: false),
      OperationCase(
        "reduce/channel sums of a batch", [OperationInput([8, 32, 16, 16])], torch: nil,
        .sum(terms: 2048), isIntegerExact: true
      ) { [$0[0].sum(axes: [0, 2, 3])] },
      OperationCase(
        "softmax/4096 rows of 10", [OperationInput([4096, 10])], torch: nil, .relative
      ) { [EspalierTensor.softmax($0[0])] },
      OperationCase(
        "unary/gelu of a batch", [OperationInput([8, 32, 16, 16], .uniform(-4, 4))], torch: nil,
        .elementwise(ulps: 17, scale: 1)
      ) { [gelu($0[0])] },
      OperationCase(
        "binary/broadcast over a batch",
        [OperationInput([8, 32, 16, 16]), OperationInput([1, 32, 1, 1])], torch: nil,
        .elementwise(ulps: 1)
      ) { [$0[0] * $0[1]] },
      OperationCase(
        "concatenate/four nodes",
        (0..<4).map { _ in OperationInput([8, 16, 16, 16]) }, torch: nil, .sum(terms: 1),
        isIntegerExact: true
      ) { [concatenate($0)] },
    ]

  private static func depthwise(
    _ channels: Int, _ size: Int, kernel: Int, dilation: Int, stride: Int
  ) -> OperationCase {
    convolution(
      "depthwise \(kernel)x\(kernel) stride \(stride) dilation \(dilation) of \(channels) on "
        + "\(size)x\(size)", [8, channels, size, size], to: channels, [kernel, kernel],
      stride: IntPair(stride, stride),
      padding: IntPair(dilation * (kernel / 2), dilation * (kernel / 2)),
      dilation: IntPair(dilation, dilation), groups: channels, hasGolden: false)
  }
}
