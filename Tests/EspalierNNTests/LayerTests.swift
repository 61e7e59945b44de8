import EspalierNN
import Testing

@Suite("Layers")
struct LayerTests {
  struct Golden: Decodable {
    struct Pass: Decodable {
      let input: GoldenArray
      let output: GoldenArray
    }
    let name: String
    let before: [String: GoldenArray]
    let training: [Pass]
    let after: [String: GoldenArray]
    let evaluation: GoldenArray
  }

  /// The layers of `generate.py`.
  private static let makers: [String: @Sendable () -> any Layer] = [
    "linear": { Linear(5, 3) },
    "linear without bias": { Linear(5, 3, bias: false) },
    "conv2d": { Conv2d(3, 4, kernelSize: 3, padding: 1) },
    "conv2d strided": {
      Conv2d(3, 4, kernelSize: IntPair(3, 2), stride: IntPair(2, 1), padding: IntPair(1, 0))
    },
    "conv2d dilated groups": {
      Conv2d(4, 6, kernelSize: 3, padding: 2, dilation: 2, groups: 2, bias: false)
    },
    "conv2d depthwise": { Conv2d(4, 4, kernelSize: 3, stride: 2, padding: 1, groups: 4) },
    "batch_norm": { BatchNorm2d(3) },
    "batch_norm momentum": { BatchNorm2d(3, momentum: 0.3, epsilon: 1e-3) },
    "batch_norm not affine": { BatchNorm2d(3, affine: false) },
    "batch_norm without statistics": { BatchNorm2d(3, tracksRunningStatistics: false) },
    "max_pool2d": { MaxPool2d(3, stride: 2, padding: 1) },
    "max_pool2d default stride": { MaxPool2d(2) },
    "avg_pool2d": { AveragePool2d(3, stride: 2, padding: 1) },
    "avg_pool2d without pad": {
      AveragePool2d(3, stride: 2, padding: 1, countIncludePad: false)
    },
    "global_avg_pool2d": { GlobalAveragePool2d() },
    "relu": { ReLU() }, "relu6": { ReLU6() }, "leaky_relu": { LeakyReLU() },
    "leaky_relu 0.2": { LeakyReLU(slope: 0.2) }, "sigmoid": { Sigmoid() }, "tanh": { Tanh() },
    "hard_swish": { HardSwish() }, "gelu": { GELU() }, "silu": { SiLU() },
    "flatten": { Flatten() }, "identity": { Identity() },
    "sequential": {
      Sequential(Conv2d(2, 3, kernelSize: 3), BatchNorm2d(3), ReLU(), Flatten(), Linear(12, 2))
    },
  ]

  @Test("Every layer computes what PyTorch's does, in training and evaluation, under its names")
  func goldens() throws {
    let cases: [Golden] = try golden("layers.json")
    #expect(Set(cases.map(\.name)) == Set(Self.makers.keys))
    for item in cases {
      let make = try #require(Self.makers[item.name])
      let layer = make()
      let state = Dictionary(
        uniqueKeysWithValues: layer.namedVariables().map { ($0.path, $0.variable) })
      #expect(Set(state.keys) == Set(item.before.keys), "\(item.name)")
      for (name, array) in item.before {
        let variable = try #require(state[name])
        #expect(variable.type.shape.dimensions == array.shape)
        try variable.assign(array.floats)
      }
      for (number, pass) in item.training.enumerated() {
        let input = try pass.input.tensor()
        let output = try step { Mode.with(.training) { layer(input) } }
        #expect(output.shape.dimensions == pass.output.shape, "\(item.name)")
        expectClose(
          try output.scalars(), pass.output.values, relative: 1e-5,
          "\(item.name) pass \(number)")
      }
      for (name, array) in item.after {
        expectClose(
          try #require(state[name]).scalars(), array.values, relative: 1e-5,
          "\(item.name) \(name) afterwards")
      }
      let input = try item.training[0].input.tensor()
      let output = try step { Mode.with(.evaluation) { layer(input) } }
      expectClose(
        try output.scalars(), item.evaluation.values, relative: 1e-5, "\(item.name) evaluation")
    }
  }

  @Test("A supernet's evaluation normalises by the batch and leaves the statistics alone")
  func supernetEvaluation() throws {
    let layer = BatchNorm2d(1)
    let before = try layer.namedBuffers.map { try $0.buffer.variable.scalars() as [Float] }
    let x = try Tensor([1, 3] as [Float], shape: [2, 1, 1, 1])
    let y = try step { Mode.with(.supernetEvaluation) { layer(x) } }
    expectClose(try y.scalars(), [-1, 1], relative: 1e-4, "normalised")
    #expect(
      try layer.namedBuffers.map { try $0.buffer.variable.scalars() as [Float] } == before)
  }

  @Test(
    "Initial weights are uniform in ±1/√fan-in as in PyTorch: bounds, mean and variance",
    arguments: [("linear", 50), ("dense", 72), ("grouped", 50)])
  func initialDistribution(name: String, fanIn: Int) throws {
    let makers: [String: () -> any Layer] = [
      "linear": { Linear(50, 80) }, "dense": { Conv2d(8, 60, kernelSize: 3) },
      "grouped": { Conv2d(8, 80, kernelSize: 5, groups: 4) },
    ]
    let make = try #require(makers[name])
    let bound = 1 / Double(fanIn).squareRoot()
    let layer = InitialWeights.with(seed: 11) { make() }
    for (path, parameter) in layer.namedParameters {
      let values: [Float] = try parameter.variable.scalars()
      let largest = Double(values.map { abs($0) }.max() ?? 0)
      #expect(largest <= bound * 1.0001, "\(name) \(path)")
      let count = Double(values.count)
      // The largest of n falls short of the bound by about a share of 1 / n.
      #expect(largest > bound * (1 - 12 / count), "\(name) \(path)")
      let (mean, variance) = moments(values)
      let expected = bound * bound / 3
      #expect(abs(mean) < 4.5 * (expected / count).squareRoot(), "\(name) \(path)")
      // The variance of the square of a uniform number is 4 b⁴ / 45.
      #expect(
        abs(variance - expected) < 4.5 * bound * bound * (4 / 45 / count).squareRoot(),
        "\(name) \(path)")
    }
  }

  @Test("Batch norm starts with γ 1, β 0, mean 0 and variance 1")
  func batchNormStart() throws {
    let values = try BatchNorm2d(2).namedVariables().map { try $0.variable.scalars() as [Float] }
    #expect(values == [[1, 1], [0, 0], [0, 0], [1, 1]])
    #expect(BatchNorm2d(2, affine: false).parameterCount == 0)
  }

  @Test(
    "Dropout drops elements, channels or samples with its probability and scales up the rest",
    arguments: ["element", "channel", "sample"])
  func dropout(unit: String) throws {
    let layers: [String: any Layer] = [
      "element": Dropout(0.25), "channel": Dropout2d(0.25), "sample": DropPath(0.25),
    ]
    let layer = try #require(layers[unit])
    let (n, c, side) = (100, 8, 4)
    let x = try Tensor(
      [Float](repeating: 3, count: n * c * side * side), shape: [n, c, side, side])
    func run(_ mode: Mode, _ number: UInt32) throws -> [Float] {
      try step(random: RandomState(seed: 5, step: number)) { Mode.with(mode) { layer(x) } }
        .scalars()
    }
    let values = try run(.training, 1)
    #expect(Set(values) == [0, 4])
    let share = Double(values.filter { $0 == 0 }.count) / Double(values.count)
    let size = ["element": 1, "channel": side * side, "sample": c * side * side][unit] ?? 1
    let units = Double(values.count / size)
    #expect(abs(share - 0.25) < 4.5 * (0.25 * 0.75 / units).squareRoot())
    // All elements of a unit share their fate; neighbouring units do not.
    let blocks = stride(from: 0, to: values.count, by: size).map { Array(values[$0..<$0 + size]) }
    #expect(blocks.allSatisfy { Set($0).count == 1 })
    #expect(try run(.training, 1) == values)
    #expect(try run(.training, 2) != values)
    #expect(try Set(run(.evaluation, 1)) == [3])
  }

  @Test("Drop path at rate 0 changes nothing, and its rate may change between steps")
  func dropPathRate() throws {
    let layer = DropPath()
    let x = try Tensor([Float](repeating: 1, count: 64), shape: [64, 1, 1, 1])
    func run() throws -> Set<Float> {
      Set(try step(random: RandomState(seed: 2)) { Mode.with(.training) { layer(x) } }.scalars())
    }
    #expect(try run() == [1])
    layer.rate = 0.5
    #expect(try run() == [0, 2])
  }
}
