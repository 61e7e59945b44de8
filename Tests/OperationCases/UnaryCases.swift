import EspalierTensor

extension OperationCases {
  private static let shapes: [Shape] = [
    [2, 16, 3, 3], [3, 5, 2, 4], [7], [1], [], [0, 5], [2, 3, 67],
  ]

  /// Elementwise functions of one tensor.
  ///
  /// Bounds are those of OpenCL C 1.2 plus one unit; functions it does not have get the sum over
  /// their steps.
  public static let unary: [OperationCase] =
    function("negate", "-x", ulps: 0) { -$0 }
    + function("abs", "x.abs()", .away(from: [0], -2, 2), ulps: 0) { EspalierTensor.abs($0) }
    + function("exp", "x.exp()", .uniform(-5, 5), ulps: 4) { EspalierTensor.exp($0) }
    + function("log", "x.log()", .uniform(0.1, 5), ulps: 4) { EspalierTensor.log($0) }
    + function("sqrt", "x.sqrt()", .uniform(0.1, 5), ulps: 1) { EspalierTensor.sqrt($0) }
    + function("rsqrt", "x.rsqrt()", .uniform(0.1, 5), ulps: 3) { rsqrt($0) }
    + function("reciprocal", "1 / x", .uniform(0.2, 3), ulps: 3.5) { reciprocal($0) }
    + function("square", "x * x", ulps: 1) { square($0) }
    + function("sign", "x.sign()", .away(from: [0], -2, 2), ulps: 0) { sign($0) }
    + function("erf", "x.erf()", .uniform(-3, 3), ulps: 17) { EspalierTensor.erf($0) }
    + function("relu", "F.relu(x)", .away(from: [0], -2, 2), ulps: 0) { relu($0) }
    + function("relu6", "F.relu6(x)", .away(from: [0, 6], -4, 10), ulps: 0) { relu6($0) }
    + function("leaky relu", "F.leaky_relu(x, 0.125)", .away(from: [0], -2, 2), ulps: 1) {
      leakyRelu($0, slope: 0.125)
    }
    + function("sigmoid", "x.sigmoid()", .uniform(-6, 6), ulps: 7) { sigmoid($0) }
    + function("tanh", "x.tanh()", .uniform(-4, 4), ulps: 6) { EspalierTensor.tanh($0) }
    + function("hard swish", "F.hardswish(x)", .away(from: [-3, 3], -5, 5), ulps: 3) {
      hardSwish($0)
    }
    // Far left of zero 1 + erf cancels: the bound is on the scale of x there.
    + function("gelu", "F.gelu(x)", .uniform(-4, 4), ulps: 17, scale: 1) { gelu($0) }
    + function("silu", "F.silu(x)", .uniform(-6, 6), ulps: 8) { silu($0) }
    + function("clamp", "x.clamp(-0.5, 0.75)", .away(from: [-0.5, 0.75], -2, 2), ulps: 0) {
      clamp($0, Float(-0.5), Float(0.75))
    }
    + function("pow 2.5", "x.pow(2.5)", .uniform(0.1, 3), ulps: 17) { pow($0, 2.5) }
    + function("pow -1", "x.pow(-1)", .uniform(0.2, 3), ulps: 17) { pow($0, -1) }
    + function("pow 3 of negative numbers", "x.pow(3)", .uniform(-2, -0.1), ulps: 17) { pow($0, 3) }
    + function("plus a number", "x + 0.75", ulps: 1) { $0 + 0.75 }
    + function("number plus", "0.75 + x", ulps: 1) { 0.75 + $0 }
    + function("minus a number", "x - 0.75", ulps: 1) { $0 - 0.75 }
    + function("number minus", "0.75 - x", ulps: 1) { 0.75 - $0 }
    + function("times a number", "x * 0.75", ulps: 1) { $0 * 0.75 }
    + function("number times", "0.75 * x", ulps: 1) { 0.75 * $0 }
    + function("divided by a number", "x / 4", ulps: 1) { $0 / 4 }
    + function("number divided", "3 / x", .uniform(0.2, 3), ulps: 4.5) { 3 / $0 }
    + kinks

  private static func function(
    _ name: String, _ torch: String, _ fill: OperationInput.Fill = .uniform(-2, 2), ulps: Double,
    scale: Double = 0, _ body: @escaping @Sendable (Tensor) -> Tensor
  ) -> [OperationCase] {
    shapes.map { shape in
      OperationCase(
        "unary/\(name) \(shape)", [OperationInput(shape, fill)],
        torch: "(lambda x: \(torch))(x[0])",
        ulps == 0 ? .exact : .elementwise(ulps: ulps, scale: scale)
      ) { [body($0[0])] }
    }
  }

  /// What the gradient is where there is none.
  private static let kinks: [OperationCase] = [
    atKink("abs", "x[0].abs()", [0, -0.0, 1, -1]) { EspalierTensor.abs($0) },
    atKink("relu", "F.relu(x[0])", [0, -0.0, 1, -1]) { relu($0) },
    atKink("relu6", "F.relu6(x[0])", [0, 6, 7, 3]) { relu6($0) },
    atKink("leaky relu", "F.leaky_relu(x[0], 0.125)", [0, 1, -1]) { leakyRelu($0, slope: 0.125) },
    atKink("clamp", "x[0].clamp(-0.5, 0.75)", [-0.5, 0.75, 0, 1]) {
      clamp($0, Float(-0.5), Float(0.75))
    },
    atKink("hard swish", "F.hardswish(x[0])", [-3, 3, 0, 4]) { hardSwish($0) },
    atKink("square root near zero", "x[0].sqrt()", [1e-30, 1e30, 4]) { EspalierTensor.sqrt($0) },
    OperationCase(
      "unary/extreme arguments", [OperationInput([5], .list([-100, -30, 0, 30, 88]))],
      torch: "(x[0].exp(), x[0].sigmoid(), x[0].tanh(), x[0].erf(), F.silu(x[0]), F.gelu(x[0]))",
      .elementwise(ulps: 17, scale: 1), differentiable: []
    ) { x in
      [
        EspalierTensor.exp(x[0]), sigmoid(x[0]), EspalierTensor.tanh(x[0]),
        EspalierTensor.erf(x[0]), silu(x[0]), gelu(x[0]),
      ]
    },
  ]

  private static func atKink(
    _ name: String, _ torch: String, _ list: [Double],
    _ body: @escaping @Sendable (Tensor) -> Tensor
  ) -> OperationCase {
    OperationCase(
      "unary/\(name) at its kinks",
      [
        OperationInput(
          [list.count],
          .list(
            list.map {
              Double(Float($0))
            }))
      ], torch: torch, .elementwise(ulps: 3), isTwiceDifferentiable: false, isAtKink: true
    ) { [body($0[0])] }
  }
}
