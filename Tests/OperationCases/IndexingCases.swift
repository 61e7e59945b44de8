import EspalierTensor

extension OperationCases {
  /// Rows by index, one-hot rows, other element types, constants, stopped gradients.
  public static let indexing: [OperationCase] =
    ([(10, 16, 6), (5, 7, 9), (1, 1, 1), (3, 5, 1), (4, 3, 0)] as [(Int, Int, Int)]).map {
      rows, width, count in
      OperationCase(
        "gather/\(count) of \(rows) rows of \(width)",
        [OperationInput([rows, width]), OperationInput([count], .labels(rows))],
        torch: "x[0][x[1].long()]", .sum(terms: 1), isIntegerExact: true
      ) { [$0[0].gathered($0[1])] }
    } + [
      OperationCase(
        "one_hot/6 of 5", [OperationInput([6], .labels(5))],
        torch: "F.one_hot(x[0].long(), 5).float()", .exact
      ) { [$0[0].oneHot(classes: 5)] },
      OperationCase(
        "one_hot/float64", [OperationInput([3], .labels(16))],
        torch: "F.one_hot(x[0].long(), 16).double()", .exact
      ) { [$0[0].oneHot(classes: 16, dtype: .float64)] },
      OperationCase(
        "cast/between floats", [OperationInput([2, 5, 3, 3])],
        // No difference can be taken across a rounding to float32.
        torch: "(x[0].float(), x[0].double())", .exact, isTwiceDifferentiable: false, isAtKink: true
      ) { [$0[0].cast(to: .float32), $0[0].cast(to: .float64)] },
      OperationCase(
        "cast/to int32",
        [OperationInput([9], .list([-2.75, -1, -0.5, 0, 0.5, 0.99, 1, 2.5, 100]))],
        torch: "x[0].int()", .exact, differentiable: []
      ) { [$0[0].cast(to: .int32)] },
      OperationCase(
        "cast/from int32 and bool",
        [OperationInput([2, 3], .labels(100)), OperationInput([2, 3], .mask)],
        torch: "(x[0].float(), x[0].double(), x[1].float(), x[1].double(), x[1].int())", .exact
      ) { x in
        [
          x[0].cast(to: .float32), x[0].cast(to: .float64), x[1].cast(to: .float32),
          x[1].cast(to: .float64), x[1].cast(to: .int32),
        ]
      },
      OperationCase(
        "fill/constants", [OperationInput([2, 5, 3, 3])],
        torch: "(torch.zeros_like(x[0]), torch.ones_like(x[0]), torch.full((3, 2), 0.75), "
          + "torch.zeros(2, 2), torch.ones(4))", .exact, differentiable: []
      ) { x in
        [
          x[0].zerosLike(), x[0].onesLike(), Tensor(repeating: 0.75, shape: [3, 2]),
          Tensor(zeros: [2, 2]), Tensor(ones: [4]),
        ]
      },
      OperationCase(
        "stop_gradient/product", [OperationInput([2, 5, 3, 3]), OperationInput([2, 5, 3, 3])],
        torch: "x[0].detach() * x[1] + x[0]", .elementwise(ulps: 2, scale: 2), isAtKink: true
      ) { [stopGradient($0[0]) * $0[1] + $0[0]] },
    ]
}
