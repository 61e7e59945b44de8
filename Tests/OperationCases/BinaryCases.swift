import EspalierTensor

extension OperationCases {
  private static let pairs: [(Shape, Shape)] = [
    ([2, 16, 3, 3], [2, 16, 3, 3]), ([2, 5, 3, 4], [1, 5, 1, 1]), ([3, 1, 2, 1], [1, 16, 1, 4]),
    ([2, 7, 3, 3], []), ([4, 7], [7]), ([5, 1], [1, 6]), ([3], [2, 4, 3]), ([1], [1]),
    ([0, 4], [4]),
    ([2, 3, 2, 3, 2], [3, 1, 3, 1]),
  ]

  /// Elementwise functions of two tensors under broadcasting, comparisons and the choice.
  public static let binary: [OperationCase] =
    function("add", "a + b", ulps: 1) { $0 + $1 }
    + function("subtract", "a - b", ulps: 1) { $0 - $1 }
    + function("multiply", "a * b", ulps: 1) { $0 * $1 }
    + function("divide", "a / b", .uniform(-2, 2), .uniform(0.5, 2), ulps: 3.5) { $0 / $1 }
    + function("pow", "a ** b", .uniform(0.3, 2), .uniform(-2, 2), ulps: 17) { pow($0, $1) }
    + function("maximum", "torch.maximum(a, b)", ulps: 0) { maximum($0, $1) }
    + function("minimum", "torch.minimum(a, b)", ulps: 0) { minimum($0, $1) }
    + function(
      "in place", "((a + b) - a * 3) * b", .uniform(-1, 1), .uniform(-1, 1), ulps: 8,
      scale: 4
    ) {
      var y = $0
      y += $1
      y -= $0 * 3
      y *= $1
      return y
    }
    + comparison(">", ">") { $0 .> $1 } + comparison(">=", ">=") { $0 .>= $1 }
    + comparison("<", "<") { $0 .< $1 } + comparison("<=", "<=") { $0 .<= $1 }
    + comparison("==", "==") { $0 .== $1 } + comparison("!=", "!=") { $0 .!= $1 }
    + choices + ties

  private static func function(
    _ name: String, _ torch: String, _ a: OperationInput.Fill = .grid(offset: 0),
    _ b: OperationInput.Fill = .grid(offset: 0.0625), ulps: Double, scale: Double = 0,
    _ body: @escaping @Sendable (Tensor, Tensor) -> Tensor
  ) -> [OperationCase] {
    pairs.map { pair in
      OperationCase(
        "binary/\(name) \(pair.0) and \(pair.1)",
        [OperationInput(pair.0, a), OperationInput(pair.1, b)],
        torch: "(lambda a, b: \(torch))(*x)",
        ulps == 0 ? .exact : .elementwise(ulps: ulps, scale: scale)
      ) { [body($0[0], $0[1])] }
    }
  }

  private static func comparison(
    _ name: String, _ torch: String, _ body: @escaping @Sendable (Tensor, Tensor) -> Tensor
  ) -> [OperationCase] {
    [pairs[0], pairs[1], pairs[5]].map { pair in
      OperationCase(
        "binary/\(name) \(pair.0) and \(pair.1)",
        [OperationInput(pair.0, .integers(-1, 1)), OperationInput(pair.1, .integers(-1, 1))],
        torch: "x[0] \(torch) x[1]", .exact, differentiable: []
      ) { [body($0[0], $0[1])] }
    } + [
      OperationCase(
        "binary/int32 \(name)",
        [OperationInput([3, 5], .labels(3)), OperationInput([5], .labels(3))],
        torch: "x[0] \(torch) x[1]", .exact, differentiable: []
      ) { [body($0[0], $0[1])] }
    ]
  }

  private static let choices: [OperationCase] =
    ([
      ([2, 16, 3, 3], [2, 16, 3, 3], [2, 16, 3, 3]), ([5, 1], [4], [5, 4]),
      ([2, 5, 3, 3], [], [1]),
      ([7], [7], [3, 7]), ([], [2, 5, 2, 2], [1, 5, 1, 1]),
    ] as [(Shape, Shape, Shape)]).map { c, a, b in
      OperationCase(
        "select/\(c), \(a) and \(b)",
        [OperationInput(c, .mask), OperationInput(a), OperationInput(b)],
        torch: "torch.where(x[0], x[1], x[2])", .exact, isIntegerExact: true
      ) { [which($0[0], $0[1], $0[2])] }
    } + [
      OperationCase(
        "select/int32",
        [
          OperationInput([3, 5], .mask), OperationInput([5], .labels(9)),
          OperationInput([3, 1], .labels(9)),
        ], torch: "torch.where(x[0], x[1], x[2])", .exact
      ) { [which($0[0], $0[1], $0[2])] },
      OperationCase(
        "binary/compared with numbers", [OperationInput([2, 5, 3, 3], .integers(-1, 1))],
        torch: "(x[0] > 0, x[0] >= 0, x[0] < 0, x[0] <= 0)", .exact, differentiable: []
      ) { [$0[0] .> 0, $0[0] .>= 0, $0[0] .< 0, $0[0] .<= 0] },
      OperationCase(
        "binary/int32 arithmetic",
        [OperationInput([4, 5], .labels(9)), OperationInput([5], .labels(9))],
        torch: "(x[0] + x[1], x[0] - x[1], x[0] * x[1], torch.maximum(*x), torch.minimum(*x))",
        .exact
      ) { x in
        [x[0] + x[1], x[0] - x[1], x[0] * x[1], maximum(x[0], x[1]), minimum(x[0], x[1])]
      },
    ]

  private static let ties: [OperationCase] = [
    OperationCase(
      "binary/maximum of equal numbers",
      [OperationInput([4, 5], .integers(0, 1)), OperationInput([5], .integers(0, 1))],
      torch: "torch.maximum(x[0], x[1])", .exact, isIntegerExact: true,
      isTwiceDifferentiable: false,
      isAtKink: true
    ) { [maximum($0[0], $0[1])] },
    OperationCase(
      "binary/minimum of equal numbers",
      [OperationInput([4, 5], .integers(0, 1)), OperationInput([4, 1], .integers(0, 1))],
      torch: "torch.minimum(x[0], x[1])", .exact, isIntegerExact: true,
      isTwiceDifferentiable: false,
      isAtKink: true
    ) { [minimum($0[0], $0[1])] },
  ]
}
