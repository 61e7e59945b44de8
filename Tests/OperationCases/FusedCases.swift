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
      chain("3x3 affine", [3, 19, 7, 6], to: 21, 3, padding: 1, isAffine: true),
      chain(
        "5x5 affine, normalised", [2, 16, 7, 7], to: 7, 5, padding: 2, isNormalised: true,
        isAffine: true),
      chain("without depthwise normalised", [2, 16, 4, 9], to: 16, nil, isNormalised: true),
    ] + cells

  /// The batch norm of `pointwise(depthwise(relu(x)))`, x normalised or not.
  static func chain(
    _ label: String, _ x: Shape, to channels: Int, _ kernel: IntPair?, stride: Int = 1,
    padding: Int = 0, dilation: Int = 1, isNormalised: Bool = false, isAffine: Bool = false,
    differentiable: [Int]? = nil
  ) -> OperationCase {
    let depthwise = kernel.map { OperationInput([x[1], 1, $0.height, $0.width]) }
    return OperationCase(
      "relu_depthwise_pointwise/" + label,
      [OperationInput(x), OperationInput([channels, x[1], 1, 1])] + [depthwise].compactMap { $0 }
        + (isAffine ? [OperationInput([channels]), OperationInput([channels])] : []),
      torch: nil, .relative, differentiable: differentiable, isTwiceDifferentiable: false,
      flops: 2 * x.count * (channels + (kernel.map { $0.height * $0.width } ?? 0))
    ) {
      var t = relu(isNormalised ? EspalierTensor.batchNorm($0[0]) : $0[0])
      if depthwise != nil {
        t = EspalierTensor.conv2d(
          t, $0[2], stride: IntPair(stride, stride), padding: IntPair(padding, padding),
          dilation: IntPair(dilation, dilation), groups: x[1])
      }
      let y = EspalierTensor.conv2d(t, $0[1])
      return [
        isAffine
          ? EspalierTensor.batchNorm(y, gamma: $0[$0.count - 2], beta: $0[$0.count - 1])
          : EspalierTensor.batchNorm(y)
      ]
    }
  }

  /// What passes make of a cell's nodes; channels are a whole block of 16, a part of one, and both.
  private static let cells: [OperationCase] =
    [16, 5, 37].flatMap { channels in
      [
        mixture("\(channels) channels", [2, channels, 3, 5]),
        branches("\(channels) channels", [3, channels, 6, 7]),
        branches("\(channels) channels", [3, channels, 6, 7], isJoined: true),
        concatenated("\(channels) channels", [3, channels, 5, 7]),
      ]
    }

  /// A node that sums two mixtures of batch norms and of tensors as they are; one is in both.
  private static func mixture(_ label: String, _ shape: Shape) -> OperationCase {
    OperationCase(
      "combine_normalized/" + label,
      [OperationInput(shape), OperationInput(shape), OperationInput(shape), OperationInput([4])],
      torch: nil, .relative, isTwiceDifferentiable: false
    ) {
      let (shared, other) = (EspalierTensor.batchNorm($0[0]), EspalierTensor.batchNorm($0[1]))
      // Positive, so that the gradients of a term of both do not cancel.
      let weights = $0[3] * $0[3] + 0.5
      return [
        addAll([
          weightedSum([shared, other, $0[2]], weights: weights, indices: [0, 2, 3]),
          weightedSum([shared, $0[2]], weights: weights, indices: [1, 2]),
        ])
      ]
    }
  }

  /// Chains of one normalised source, summed with the source itself or put beside each other: then
  /// their upstream gradients are slices.
  private static func branches(
    _ label: String, _ shape: Shape, isJoined: Bool = false
  ) -> OperationCase {
    let channels = shape[1]
    return OperationCase(
      "relu_depthwise_pointwise/branches\(isJoined ? " joined" : ""), " + label,
      [
        OperationInput(shape), OperationInput([channels, 1, 3, 3]),
        OperationInput([channels, 1, 5, 5]), OperationInput([channels, channels, 1, 1]),
      ], torch: nil, .relative, isTwiceDifferentiable: false
    ) { inputs in
      let x = EspalierTensor.batchNorm(inputs[0])
      func branch(_ depthwise: Tensor, _ padding: IntPair) -> Tensor {
        let t = EspalierTensor.conv2d(relu(x), depthwise, padding: padding, groups: channels)
        return EspalierTensor.batchNorm(EspalierTensor.conv2d(t, inputs[3]))
      }
      let found = [branch(inputs[1], 1), branch(inputs[2], 2), branch(inputs[1], 1)]
      return [isJoined ? EspalierTensor.concatenate(found) : addAll(found + [x])]
    }
  }

  /// Batch norms, a pool and a sum written into a concatenation, of which a convolution reads slices.
  private static func concatenated(_ label: String, _ shape: Shape) -> OperationCase {
    let channels = shape[1]
    return OperationCase(
      "concatenate/" + label,
      [
        OperationInput(shape), OperationInput(shape), OperationInput([3, channels, 3, 3]),
        OperationInput([2, channels + 2, 1, 1]),
      ], torch: nil, .relative, isTwiceDifferentiable: false
    ) {
      let sum = addAll([$0[0], $0[1], $0[0]])
      let pool = maxPool2d($0[1], kernelSize: 3, stride: 1, padding: 1)
      let whole = EspalierTensor.concatenate([
        EspalierTensor.batchNorm($0[0]), sum, pool, EspalierTensor.conv2d($0[1], $0[2], padding: 1),
      ])
      let first = whole.slice(1..<channels + 3, axis: 1)
      return [
        EspalierTensor.conv2d(first, $0[3]), whole.slice(channels..<3 * channels + 3, axis: 1) * 2,
      ]
    }
  }
}
