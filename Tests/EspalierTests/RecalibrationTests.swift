import Testing

@testable import Espalier

@Suite("Recalibration of batch norm", .seededWeights)
struct RecalibrationTests {
  private struct Golden: Decodable {
    var images: [Float]
    var weights: [String: [Float]]
    var statistics: [String: [Float]]
    var loss: Double
  }

  /// The golden's network; candidate `a` shares nothing with `b`.
  private final class Net: Module, Layer {
    let first = Conv2d(1, 2, kernelSize: 3, padding: 1)
    let norm = BatchNorm2d(2)
    let choice: LayerChoice

    override init() {
      func candidate() -> Sequential {
        Sequential(Conv2d(2, 3, kernelSize: 1), BatchNorm2d(3), Dropout(0.5))
      }
      choice = LayerChoice(["a": candidate(), "b": candidate()])
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
      globalAveragePool2d(choice(relu(norm(first(x))))).flattened(from: 1)
    }
  }

  @Test(
    "Statistics and loss of a path are PyTorch's with a cumulative average, whatever came before")
  func equalsPyTorch() throws {
    let golden: Golden = try golden("recalibration.json")
    let net = Net()
    let variables = Dictionary(
      uniqueKeysWithValues: net.namedVariables().map { ($0.path, $0.variable) })
    for (path, values) in golden.weights { try #require(variables[path]).assign(values) }
    let context = try toyContext(net, try SearchSpace(of: net, input: [1, 5, 5]))
    let images = InMemoryDataset(
      images: golden.images, labels: (0..<16).map { $0 % 3 }, channels: 1, height: 5, width: 5)
    func loader(_ range: Range<Int>) -> DataLoader {
      DataLoader(images, indices: Array(range), batchSize: 4, seed: 0, shuffles: false)
    }
    func loss(_ candidate: Int) throws -> Double {
      try context.evaluate(
        ["choice": ResolvedChoice(active: [candidate])], over: loader(12..<16),
        recalibratedOver: loader(0..<12)
      ).loss
    }
    let other = try loss(0)
    let found = try loss(1)
    #expect(abs(found - golden.loss) < 1e-5 * golden.loss)
    #expect(abs(found - other) > 1e-3)
    for (path, values) in golden.statistics {
      expectClose(try #require(variables[path]).scalars(), values, path)
    }
    // Evaluation moves nothing, and a second time gives the same bits.
    #expect(try loss(1) == found)
  }

  @Test(
    "Every batch counts the same: the smaller last one is left out; none gives batch statistics")
  func data() throws {
    var options = toyOptions()
    options.recalibrationImages = 20
    func data() throws -> SearchData {
      try SearchData(toyData(60), options: options, needsValidation: false)
    }
    let loader = try #require(try data().makeRecalibration?())
    #expect(loader.batchSizes == [8] && loader.batchesInEpoch == 2)
    options.recalibrationImages = 5
    #expect(try #require(try data().makeRecalibration?()).batchSizes == [5])
    options.recalibrationImages = 0
    #expect(try data().makeRecalibration == nil)
  }

  @Test("A search recalibrates what it evaluates, and says other scores without")
  func search() throws {
    func scores(_ images: Int) throws -> [Double] {
      var options = toyOptions()
      options.recalibrationImages = images
      options.objective.selectionMetric = "loss"
      options.objective.isLargerBetter = false
      return try withTemporaryFolder { folder in
        try runToySearch("\(folder)/a", RandomSearch(), options: options)
        return try jsonLines("\(folder)/a/candidates.jsonl").compactMap { $0["score"]?.double }
      }
    }
    let (with, again, without) = (try scores(16), try scores(16), try scores(0))
    #expect(with.count > 3 && with == again && with.count == without.count)
    #expect(zip(with, without).allSatisfy { $0 != $1 })
  }
}
