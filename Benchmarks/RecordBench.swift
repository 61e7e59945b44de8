import Espalier

/// What recording costs: tensor calls inside a step that demands nothing, so that nothing runs.
struct RecordBench {
  private static let rounds = 500
  private static let callsPerRound = 4

  /// Verifies the recorded chain, then writes one row: nanoseconds an operation, median and quartiles.
  func run(_ report: Report) throws -> Int {
    let image = try Tensor((0..<16).map { Float($0) / 8 - 1 }, shape: [1, 4, 2, 2])
    let variable = try Variable(
      (0..<16).map { Float($0 % 5) / 8 }, shape: [4, 4, 1, 1], isConvolutionWeight: true)
    func record(_ rounds: Int) -> Tensor {
      let weight = variable.tensor
      var y = image
      for _ in 0..<rounds { y = relu(conv2d(y, weight) + image) * Float(0.5) }
      return y
    }
    let found = try step { record(3) }.numbers()
    let expected = try Planning.$option.withValue(.reference) { try step { record(3) }.numbers() }
    let error = relativeError(found, expected)
    guard error <= 1e-5 else {
      report.row(
        ["op": .string("record"), "check": .string("BAD")], "record: BAD, results off by \(error)")
      return 1
    }
    var samples = Samples()
    for _ in 0..<200 {
      try step {
        samples.add(Timing.seconds { _ = record(RecordBench.rounds) })
      }
    }
    let calls = Double(RecordBench.rounds * RecordBench.callsPerRound)
    report.row(
      [
        "op": .string("record"), "variant": .string("engine"), "device": .string("cpu"),
        "shape": .string("convolution, addition, relu, scale"),
        "median_s": .measured(samples.median / calls), "iqr_s": .measured(samples.iqr / calls),
        "min_s": .measured(samples.minimum / calls), "samples": .integer(samples.values.count),
        "max_rel_error": .measured(error),
      ],
      """
      record: \((samples.median / calls * 1e9).text(0)) ns\(samples.mark) an operation, at least \
      \((samples.minimum / calls * 1e9).text(0))
      """)
    return 0
  }
}
