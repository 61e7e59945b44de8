import EspalierTensor

extension OperationCases {
  private static let axes: [(Shape, Int)] = [
    ([4, 10], 1), ([4, 10], -1), ([5, 7], 0), ([2, 16, 3, 3], 0), ([2, 16, 3, 3], 1),
    ([2, 5, 3, 4], 2), ([2, 5, 3, 4], 3), ([7], 0), ([3, 1], 1), ([1, 33], 1), ([2, 3, 5], 1),
    ([14, 8], 1), ([0, 5], 1),
  ]

  /// Softmax and its logarithm along every axis.
  public static let softmax: [OperationCase] =
    axes.flatMap { shape, axis in
      [
        OperationCase(
          "softmax/\(shape) along \(axis)", [OperationInput(shape, .uniform(-3, 3))],
          torch: "x[0].softmax(\(axis))", .relative,
          flops: 5 * shape.count
        ) { [EspalierTensor.softmax($0[0], axis: axis)] },
        OperationCase(
          "softmax/logarithm \(shape) along \(axis)", [OperationInput(shape, .uniform(-3, 3))],
          torch: "x[0].log_softmax(\(axis))", .relative, flops: 5 * shape.count
        ) { [logSoftmax($0[0], axis: axis)] },
      ]
    } + [
      OperationCase(
        "softmax/large arguments",
        [OperationInput([2, 4], .list([1000, 999, -1000, 0, -5000, -5001, -5000, -5002]))],
        torch: "(x[0].softmax(1), x[0].log_softmax(1))", .relative, differentiable: []
      ) { [EspalierTensor.softmax($0[0]), logSoftmax($0[0])] }
    ]

  /// Cross-entropy, squared error and divergence.
  public static let loss: [OperationCase] =
    ([(4, 10), (1, 7), (5, 1), (9, 16), (3, 33)] as [(Int, Int)]).flatMap { samples, classes in
      ([0, 0.125, 0.5] as [Float]).map { smoothing in
        OperationCase(
          "cross_entropy/\(samples) of \(classes) smoothing \(smoothing)",
          [
            OperationInput([samples, classes], .uniform(-3, 3)),
            OperationInput([samples], .labels(classes)),
          ], torch: "F.cross_entropy(x[0], x[1].long(), label_smoothing=\(smoothing))", .relative
        ) { [crossEntropy($0[0], $0[1], labelSmoothing: smoothing)] }
      }
    }
    + [
      OperationCase(
        "cross_entropy/large logits",
        [
          OperationInput([2, 3], .list([1000, 0, -1000, 50, 60, 40])),
          OperationInput([2], .labels(3)),
        ], torch: "F.cross_entropy(x[0], x[1].long())", .relative, differentiable: []
      ) { [crossEntropy($0[0], $0[1])] }
    ]
    + ([[4, 5], [2, 16, 3, 3], [1]] as [Shape]).flatMap { shape in
      [
        OperationCase(
          "loss/squared error \(shape)", [OperationInput(shape), OperationInput(shape)],
          torch: "F.mse_loss(x[0], x[1])", .relative
        ) { [meanSquaredError($0[0], $0[1])] },
        OperationCase(
          "loss/divergence \(shape)",
          [OperationInput(shape, .uniform(-3, 0)), OperationInput(shape, .uniform(-3, 0))],
          torch: "F.kl_div(x[1], x[0], reduction='batchmean', log_target=True)", .relative
        ) { [klDivergence(logTarget: $0[0], logPrediction: $0[1])] },
      ]
    }
}
