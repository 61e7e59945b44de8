import EspalierTensor

extension OperationCases {
  private static let shapes: [Shape] = [
    [4, 16, 3, 3], [3, 5, 4, 3], [2, 32, 4, 4], [8, 7, 1, 1], [1, 5, 6, 5], [3, 1, 4, 4], [16, 16],
    [9, 7], [12, 1],
  ]

  /// Normalisation by the batch's moments and by given ones.
  public static let batchNorm: [OperationCase] =
    shapes.flatMap { shape in
      [true, false].flatMap { isAffine -> [OperationCase] in
        let channels: Shape = [shape[1]]
        let affine =
          isAffine
          ? [OperationInput(channels, .uniform(0.5, 1.5)), OperationInput(channels)] : []
        let label = "\(shape)\(isAffine ? " affine" : "")"
        return [
          OperationCase(
            "batch_norm/training \(label)", [OperationInput(shape, .uniform(-1, 2))] + affine,
            torch:
              "F.batch_norm(x[0], None, None, \(isAffine ? "x[1], x[2]" : "None, None"), True, "
              + "0.1, f32(1e-5))", .relative, flops: 8 * shape.count
          ) {
            [
              EspalierTensor.batchNorm(
                $0[0], gamma: isAffine ? $0[1] : nil, beta: isAffine ? $0[2] : nil)
            ]
          },
          OperationCase(
            "batch_norm/evaluation \(label)",
            [
              OperationInput(shape), OperationInput(channels),
              OperationInput(channels, .uniform(0.5, 2)),
            ] + affine,
            torch: "F.batch_norm(x[0], x[1], x[2], \(isAffine ? "x[3], x[4]" : "None, None"), "
              + "False, 0.1, f32(1e-5))", .relative, flops: 4 * shape.count
          ) {
            [
              normalize(
                $0[0], mean: $0[1], variance: $0[2], gamma: isAffine ? $0[3] : nil,
                beta: isAffine ? $0[4] : nil)
            ]
          },
        ]
      }
    } + ghost + [
      OperationCase(
        "batch_norm/far from zero", [OperationInput([4, 5, 4, 4], .uniform(100, 101))],
        // A float32 mean near 100 is off by up to 2⁻¹⁸, which is 111 units of a deviation of 0.29.
        torch: "F.batch_norm(x[0], None, None, None, None, True, 0.1, f32(1e-3))",
        .elementwise(ulps: 128, scale: 1), differentiable: []
      ) { [EspalierTensor.batchNorm($0[0], epsilon: 1e-3)] },
      OperationCase(
        "batch_norm/equal numbers", [OperationInput([2, 5, 3, 3], .list([0.25]))],
        torch: "F.batch_norm(x[0], None, None, None, None, True, 0.1, f32(1e-5))", .relative,
        differentiable: []
      ) { [EspalierTensor.batchNorm($0[0])] },
    ]

  /// Ghost batches: two equal groups, three with a smaller last one, vectors.
  private static let ghost: [OperationCase] = [
    ([4, 16, 3, 3], 2), ([7, 5, 4, 3], 3), ([10, 7], 4),
  ].flatMap { (shape: Shape, size: Int) in
    [true, false].map { isAffine in
      let channels: Shape = [shape[1]]
      let count = (shape[0] + size - 1) / size
      return OperationCase(
        "batch_norm/ghost \(shape) by \(size)\(isAffine ? " affine" : "")",
        [OperationInput(shape, .uniform(-1, 2))]
          + (isAffine
            ? [OperationInput(channels, .uniform(0.5, 1.5)), OperationInput(channels)] : []),
        torch: "torch.cat([F.batch_norm(g, None, None, \(isAffine ? "x[1], x[2]" : "None, None"), "
          + "True, 0.1, f32(1e-5)) for g in torch.chunk(x[0], \(count))])",
        .relative, flops: 8 * shape.count
      ) {
        [
          ghostBatchNorm(
            $0[0], groupSize: size, gamma: isAffine ? $0[1] : nil, beta: isAffine ? $0[2] : nil)
        ]
      }
    }
  }
}
