import Testing

@testable import Espalier

@Suite("Evaluation", .seededWeights)
struct EvaluationTests {
  private func loader(_ count: Int = 10, batchSize: Int) -> DataLoader {
    DataLoader(toyImages(count), batchSize: batchSize, seed: 0, shuffles: false)
  }

  @Test("Means are over samples, whatever the sizes of batches", arguments: [3, 4, 10])
  func means(batchSize: Int) throws {
    let net = InitialWeights.with(seed: 2) {
      Sequential(Conv2d(1, 3, kernelSize: 3), GlobalAveragePool2d(), Flatten())
    }
    let all = try Batch(of: toyImages(10), at: Array(0..<10))
    let (loss, accuracy) = try step { () -> [Tensor] in
      let batch = try TensorBatch(all)
      let objective = Objective.classification()
      let output = net(batch.images)
      return [
        objective.loss(output, batch),
        try #require(objective.metrics(output, batch)["accuracy"]).mean(),
      ]
    }.map { try $0.item() }.pair
    let result = try evaluate(
      loader(batchSize: batchSize), objective: .classification()
    ) { net($0) }
    #expect(result.count == 10)
    #expect(abs(result.loss - loss) < 1e-5)
    #expect(abs(result.accuracy - accuracy) < 1e-6)
  }

  @Test("An accuracy over n images is k/n to the last bit, in a result and in a log line")
  func exactAccuracy() throws {
    // Neither a third of a batch nor the share of all has an exact float.
    let hits = (0..<49).map { $0 % 5 == 4 ? 0 : Float(1) }
    var window = MetricWindow()
    var sum = MetricSum()
    for start in stride(from: 0, to: 49, by: 3) {
      let batch = Array(hits[start..<min(start + 3, 49)])
      let labels = try Tensor(batch.map { _ in Int32(1) })
      let scores = try Tensor(batch.flatMap { [1 - $0, $0] }, shape: [batch.count, 2])
      let tensors = TensorBatch(images: scores, labels: labels)
      let objective = Objective.classification()
      let result = StepResult(
        loss: objective.loss(scores, tensors), metrics: objective.metrics(scores, tensors))
      try window.add(result, images: batch.count)
      sum += try MetricSum(#require(result.metrics["accuracy"]), samples: batch.count)
    }
    #expect(sum.mean == Double(hits.reduce(0, +)) / 49)
    #expect(try window.read().metrics["accuracy"] == sum.mean)
  }

  @Test("A metric of one element stands for all samples of its batch")
  func sharedMean() throws {
    var sum = try MetricSum(Tensor([Float(0.25)]), samples: 3)
    sum += try MetricSum(Tensor([Float(1), 0]), samples: 2)
    #expect(sum.mean == 1.75 / 5)
  }

  @Test("It runs in evaluation mode unless told otherwise, and moves no statistics")
  func mode() throws {
    let norm = BatchNorm2d(1)
    var modes: [(Bool, Bool)] = []
    let net = Sequential(norm, Flatten())
    func run(_ mode: Mode?) throws {
      func body(_ x: Tensor) -> Tensor {
        modes.append((Mode.current.isTraining, Mode.current.usesBatchStatistics))
        return net(x)
      }
      let loader = loader(batchSize: 10)
      let objective = Objective.classification()
      if let mode {
        _ = try evaluate(loader, objective: objective, mode: mode, body)
      } else {
        _ = try evaluate(loader, objective: objective, body)
      }
    }
    try run(nil)
    try run(.supernetEvaluation)
    #expect(modes.map(\.0) == [false, false])
    #expect(modes.map(\.1) == [false, true])
    #expect(
      try norm.namedBuffers.map { try $0.buffer.variable.scalars() as [Float] } == [[0], [1]])
  }

  @Test("A search never looks at the test set", arguments: strategyNames)
  func testSetUnseen(name: String) throws {
    let data = try LoadedData(train: toyImages(48), test: ForbiddenDataset())
    try withTemporaryFolder { folder in
      let result = try runToySearch(folder, toyStrategy(name), data: data)
      #expect(result.validation != nil)
    }
    #expect(throws: DatasetError.self) {
      try Retrainer(ToyNet(), data: data, epochs: 1).evaluateOnTestSet()
    }
  }

  @Test("The cost of a model counts convolutions and linear layers, a bias as one an output")
  func cost() {
    let net = Sequential(
      Conv2d(3, 2, kernelSize: 3, padding: 1), BatchNorm2d(2), ReLU(),
      Conv2d(2, 2, kernelSize: 3, stride: 2, padding: 1, groups: 2, bias: false), Flatten(),
      Linear(8, 5))
    let cost = ModelCost(of: net, image: ImageShape(channels: 3, height: 4, width: 4))
    #expect(cost.parameters == (54 + 2) + 4 + 18 + 45)
    #expect(cost.multiplyAdds == 16 * 2 * (27 + 1) + 4 * 2 * 9 + (40 + 5))
  }
}

/// Images that nobody may look at.
private struct ForbiddenDataset: Dataset {
  let count = 8
  let channels = 1
  let height = 6
  let width = 6
  let classCount: Int? = 3

  func fillImage(
    at index: Int, into image: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError) { throw .missingDirectory(name: "forbidden") }
  func label(at index: Int) throws(DatasetError) -> Int32 {
    throw .missingDirectory(name: "forbidden")
  }
}

extension [Double] {
  /// The first two elements.
  fileprivate var pair: (Double, Double) { (self[0], self[1]) }
}
