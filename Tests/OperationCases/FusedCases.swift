import EspalierTensor

extension OperationCases {
  /// Chains that a fused kernel takes the place of, where a device has it.
  public static let fused: [OperationCase] =
    [3, 5].flatMap { kernel in
      [1, 2].flatMap { stride in
        [1, 2].map { dilation in
          // A whole block of 16 channels and a part of one, on either side.
          chain(
            "\(kernel)x\(kernel) stride \(stride) dilation \(dilation)", [3, 19, 7, 10], to: 21,
            IntPair(kernel, kernel), stride: stride, padding: dilation * (kernel / 2),
            dilation: dilation)
        }
      }
    } + [
      chain("3x3 normalised", [3, 19, 7, 10], to: 21, 3, padding: 1, isNormalised: true),
      chain("5x5 normalised", [3, 16, 9, 9], to: 16, 5, padding: 2, isNormalised: true),
      chain(
        "5x5 stride 2 normalised", [2, 16, 7, 7], to: 7, 5, stride: 2, padding: 2,
        isNormalised: true),
      chain("3x3 of 9 images", [9, 16, 4, 8], to: 16, 3, padding: 1),
      chain("3x3 to five blocks", [2, 5, 4, 4], to: 70, 3, padding: 1),
      chain("3x3 of the input alone", [3, 19, 7, 6], to: 16, 3, padding: 1, differentiable: [0]),
      chain("5x5 without padding", [2, 16, 6, 13], to: 5, 5),
      chain("3x2", [2, 16, 5, 6], to: 16, [3, 2], padding: 1),
      chain("7x7 stride 3", [2, 20, 9, 8], to: 8, 7, stride: 3, padding: 3),
      chain("without depthwise", [3, 19, 5, 7], to: 37, nil),
      chain("without depthwise normalised", [2, 16, 4, 9], to: 16, nil, isNormalised: true),
    ]

  /// The batch norm of `pointwise(depthwise(relu(x)))`, x normalised or not.
  static func chain(
    _ label: String, _ x: Shape, to channels: Int, _ kernel: IntPair?, stride: Int = 1,
    padding: Int = 0, dilation: Int = 1, isNormalised: Bool = false, differentiable: [Int]? = nil
  ) -> OperationCase {
    let depthwise = kernel.map { OperationInput([x[1], 1, $0.height, $0.width]) }
    return OperationCase(
      "relu_depthwise_pointwise/" + label,
      [OperationInput(x), OperationInput([channels, x[1], 1, 1])] + [depthwise].compactMap { $0 },
      torch: nil, .relative, differentiable: differentiable, isTwiceDifferentiable: false,
      flops: 2 * x.count * (channels + (kernel.map { $0.height * $0.width } ?? 0))
    ) {
      var t = relu(isNormalised ? EspalierTensor.batchNorm($0[0]) : $0[0])
      if depthwise != nil {
        t = EspalierTensor.conv2d(
          t, $0[2], stride: IntPair(stride, stride), padding: IntPair(padding, padding),
          dilation: IntPair(dilation, dilation), groups: x[1])
      }
      return [EspalierTensor.batchNorm(EspalierTensor.conv2d(t, $0[1]))]
    }
  }
}
