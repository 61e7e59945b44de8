import EspalierTensor

extension OperationCases {
  /// Dense, grouped, depthwise and pointwise convolutions.
  public static let conv2d: [OperationCase] = dense + grouped + depthwise + pointwise

  private static let dense: [OperationCase] = [
    convolution("3x3", [2, 16, 6, 6], to: 32, [3, 3], padding: 1),
    convolution("3x3 odd channels", [2, 5, 7, 6], to: 7, [3, 3], padding: 1),
    convolution("3x3 stride 2", [2, 5, 7, 6], to: 7, [3, 3], stride: 2, padding: 1),
    convolution("3x3 stride 2x1", [1, 4, 6, 5], to: 6, [3, 3], stride: [2, 1], padding: [0, 1]),
    convolution("3x3 stride 3 without padding", [2, 3, 8, 8], to: 16, [3, 3], stride: 3),
    convolution("3x3 dilation 2", [2, 5, 7, 7], to: 16, [3, 3], padding: 2, dilation: 2),
    convolution(
      "3x3 dilation 1x2", [1, 16, 6, 7], to: 5, [3, 3], padding: [1, 2], dilation: [1, 2]),
    convolution("3x3 bias", [2, 5, 5, 6], to: 7, [3, 3], padding: 1, hasBias: true),
    convolution("5x5", [1, 16, 6, 6], to: 16, [5, 5], padding: 2),
    convolution("5x5 stride 2", [2, 7, 8, 7], to: 5, [5, 5], stride: 2, padding: 2),
    convolution("7x1", [1, 5, 8, 5], to: 7, [7, 1], padding: [3, 0]),
    convolution("1x7", [1, 16, 4, 9], to: 7, [1, 7], padding: [0, 3]),
    convolution(
      "7x7 stride 2 of an image", [1, 3, 13, 11], to: 16, [7, 7], stride: 2, padding: 3),
    convolution("2x2 stride 2", [2, 5, 6, 6], to: 7, [2, 2], stride: 2),
    convolution("whole input", [2, 7, 3, 3], to: 5, [3, 3]),
    convolution("padding larger than the kernel", [1, 3, 4, 4], to: 5, [3, 3], padding: 4),
    convolution("one channel to one", [1, 1, 5, 5], to: 1, [3, 3], padding: 1),
    convolution("one channel to many", [3, 1, 6, 5], to: 16, [3, 3], padding: 1),
    convolution("many channels to one", [2, 16, 5, 5], to: 1, [3, 3], padding: 1),
    convolution("nine images", [9, 3, 4, 4], to: 5, [3, 3], padding: 1),
    convolution("no images", [0, 5, 6, 6], to: 7, [3, 3], padding: 1),
    // 512 · 9 = 4,608 terms.
    convolution("many terms", [1, 512, 3, 3], to: 4, [3, 3], padding: 1),
  ]

  private static let grouped: [OperationCase] = [
    convolution("2 groups", [2, 6, 5, 5], to: 4, [3, 3], padding: 1, groups: 2),
    convolution("4 groups of 4", [1, 16, 6, 6], to: 32, [3, 3], padding: 1, groups: 4),
    convolution(
      "5 groups stride 2", [2, 10, 7, 7], to: 15, [3, 3], stride: 2, padding: 1, groups: 5),
    convolution("pointwise 3 groups", [2, 9, 4, 5], to: 6, [1, 1], groups: 3),
    convolution(
      "2 groups bias dilation 2", [1, 6, 7, 7], to: 8, [3, 3], padding: 2, dilation: 2,
      groups: 2, hasBias: true),
  ]

  private static let depthwise: [OperationCase] =
    [3, 5].flatMap { kernel in
      [1, 2].flatMap { stride in
        [1, 2].flatMap { dilation in
          [(5, 2), (16, 1), (19, 1)].map { channels, images in
            convolution(
              "depthwise \(kernel)x\(kernel) stride \(stride) dilation \(dilation) of \(channels)",
              [images, channels, 7, 6], to: channels, [kernel, kernel],
              stride: IntPair(stride, stride),
              padding: IntPair(dilation * (kernel / 2), dilation * (kernel / 2)),
              dilation: IntPair(dilation, dilation), groups: channels)
          }
        }
      }
    } + [
      convolution("depthwise 3x3 of 32", [2, 32, 5, 5], to: 32, [3, 3], padding: 1, groups: 32),
      convolution("depthwise 5x5 wide", [1, 16, 5, 17], to: 16, [5, 5], padding: 2, groups: 16),
      convolution("depthwise 3x3 without padding", [2, 5, 6, 5], to: 5, [3, 3], groups: 5),
      convolution("depthwise 7x7", [1, 7, 8, 8], to: 7, [7, 7], padding: 3, groups: 7),
      convolution(
        "depthwise 3x3 stride 2x1", [1, 16, 6, 6], to: 16, [3, 3], stride: [2, 1],
        padding: 1, groups: 16),
      convolution("depthwise multiplier 2", [2, 5, 5, 5], to: 10, [3, 3], padding: 1, groups: 5),
      convolution(
        "depthwise bias", [1, 16, 5, 4], to: 16, [3, 3], padding: 1, groups: 16,
        hasBias: true),
      convolution(
        "depthwise 3x3 on one pixel", [3, 16, 1, 1], to: 16, [3, 3], padding: 1,
        groups: 16),
      convolution("depthwise no images", [0, 16, 5, 5], to: 16, [3, 3], padding: 1, groups: 16),
    ]

  private static let pointwise: [OperationCase] = [
    convolution("pointwise 16 to 32", [2, 16, 5, 5], to: 32, [1, 1]),
    convolution("pointwise 5 to 7", [2, 5, 4, 7], to: 7, [1, 1]),
    convolution("pointwise stride 2", [2, 16, 6, 7], to: 16, [1, 1], stride: 2),
    convolution("pointwise stride 2 odd", [1, 5, 7, 5], to: 3, [1, 1], stride: 2),
    convolution("pointwise bias", [2, 7, 4, 4], to: 5, [1, 1], hasBias: true),
    convolution("pointwise on one pixel", [4, 16, 1, 1], to: 8, [1, 1]),
    convolution("pointwise 1 to 1", [1, 1, 3, 3], to: 1, [1, 1]),
    convolution("pointwise with padding", [1, 5, 3, 3], to: 16, [1, 1], padding: 1),
  ]

  /// A convolution with its golden, bound and count of operations.
  static func convolution(
    _ label: String, _ x: Shape, to channels: Int, _ kernel: IntPair, stride: IntPair = 1,
    padding: IntPair = 0, dilation: IntPair = 1, groups: Int = 1, hasBias: Bool = false,
    hasGolden: Bool = true
  ) -> OperationCase {
    let terms = x[1] / groups * kernel.height * kernel.width
    func size(_ n: Int, _ r: Int, _ s: Int, _ p: Int, _ d: Int) -> Int {
      (n + 2 * p - d * (r - 1) - 1) / s + 1
    }
    let height = size(x[2], kernel.height, stride.height, padding.height, dilation.height)
    let width = size(x[3], kernel.width, stride.width, padding.width, dilation.width)
    func pair(_ p: IntPair) -> String { "(\(p.height), \(p.width))" }
    var inputs = [
      OperationInput(x), OperationInput([channels, x[1] / groups, kernel.height, kernel.width]),
    ]
    if hasBias { inputs.append(OperationInput([channels])) }
    return OperationCase(
      "conv2d/" + label, inputs,
      torch: hasGolden
        ? "F.conv2d(x[0], x[1], \(hasBias ? "x[2]" : "None"), \(pair(stride)), \(pair(padding)), "
          + "\(pair(dilation)), \(groups))" : nil,
      .sum(terms: terms + (hasBias ? 1 : 0)), isIntegerExact: true,
      flops: 2 * x[0] * channels * height * width * terms
    ) {
      [
        EspalierTensor.conv2d(
          $0[0], $0[1], hasBias ? $0[2] : nil, stride: stride, padding: padding,
          dilation: dilation, groups: groups)
      ]
    }
  }
}
