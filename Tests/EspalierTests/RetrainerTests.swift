import Foundation
import Testing

@testable import Espalier

/// A small net with an auxiliary head, that writes down its drop-path rates.
private final class HeadedNet: Module, SpaceModel {
  let conv = Conv2d(1, 6, kernelSize: 3, padding: 1)
  let norm = BatchNorm2d(6)
  let classifier = Linear(6, 3)
  let auxiliary = Linear(6, 3)
  var rates: [Float] = []
  var modes: [Bool] = []

  var dropPathRate: Float = 0 { didSet { rates.append(dropPathRate) } }

  func callAsFunction(_ images: Tensor) -> Tensor { withAuxiliary(images).scores }
  func withAuxiliary(_ images: Tensor) -> (scores: Tensor, auxiliary: Tensor?) {
    modes.append(Mode.current.isTraining)
    let features = globalAveragePool2d(relu(norm(conv(images)))).flattened()
    return (
      classifier(features), Mode.current.isTraining ? auxiliary(features) : nil
    )
  }
}

@Suite("Retrainer", .seededWeights)
struct RetrainerTests {
  private func options() -> RetrainOptions {
    var options = RetrainOptions()
    options.batchSize = 16
    options.schedule = .cosine(0.2)
    options.checkpointInterval = 2
    return options
  }

  @Test("A small network learns the made-up images in a few epochs, well above chance")
  func learns() throws {
    let net = InitialWeights.with(seed: 2) {
      Sequential(
        Conv2d(1, 8, kernelSize: 3, padding: 1), BatchNorm2d(8), ReLU(), GlobalAveragePool2d(),
        Flatten(), Linear(8, 3))
    }
    let retrainer = Retrainer(net, data: try toyData(96), epochs: 6, options: options())
    let before = try retrainer.evaluateOnTestSet()
    let result = try retrainer.train()
    #expect(before.accuracy < 0.7)
    #expect(result.test.accuracy > 0.8, "\(before.accuracy) to \(result.test.accuracy)")
    #expect(result.test.loss < before.loss)
    #expect(result.test.count == 48)
    #expect(result.parameters == net.parameterCount)
  }

  @Test("The auxiliary head trains along with its weight, is not asked at the end, and may be 0")
  func auxiliaryHead() throws {
    func head(_ weight: Float) throws -> (before: [Float], after: [Float], loss: Double) {
      let net = InitialWeights.with(seed: 2) { HeadedNet() }
      var options = options()
      options.auxiliaryWeight = weight
      options.weightDecay = 0
      let before: [Float] = try net.auxiliary.weight.variable.scalars()
      var loss = 0.0
      let retrainer = Retrainer(net, data: try toyData(), epochs: 1, options: options)
      retrainer.callbacks.progress = { if $0.step == 1 { loss = $0.loss } }
      try retrainer.train()
      #expect(net.modes == [true, true, true, false, false])
      return (before, try net.auxiliary.weight.variable.scalars(), loss)
    }
    let trained = try head(0.4)
    #expect(trained.after != trained.before)
    let idle = try head(0)
    #expect(idle.after == idle.before)
    // The loss that is told is the classifier's alone.
    #expect(trained.loss == idle.loss && trained.loss > 0)
  }

  @Test("The drop-path rate rises linearly over the epochs, from 0")
  func dropPath() throws {
    let net = HeadedNet()
    var options = options()
    options.dropPath = 0.4
    try Retrainer(net, data: try toyData(), epochs: 4, options: options).train()
    // Three steps in each of four epochs.
    let expected: [Float] = [0, 0, 0, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3]
    #expect(zip(net.rates, expected).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(net.rates.count == 12)
  }

  @Test("Stopped and resumed, a retraining ends with the same bytes", arguments: [1, 3, 4, 5])
  func resumes(stop: Int) throws {
    try withTemporaryFolder { folder in
      func run(_ name: String, stopAfter: Int? = nil, isResuming: Bool = false) throws {
        let net = InitialWeights.with(seed: 2) { HeadedNet() }
        let retrainer = Retrainer(
          net, data: try toyData(), epochs: 2, logFrequency: 2, options: options(),
          directory: try RunDirectory("\(folder)/\(name)", isResuming: isResuming))
        var steps = 0
        retrainer.callbacks.shouldStop = {
          steps += 1
          return steps == stopAfter
        }
        try retrainer.train(isResuming: isResuming)
      }
      try run("whole")
      #expect(throws: TrainingInterrupted.self) { try run("parts", stopAfter: stop) }
      try run("parts", isResuming: true)
      let file = "checkpoint.safetensors"
      #expect(try bytes("\(folder)/whole/\(file)") == bytes("\(folder)/parts/\(file)"))
      let log = try jsonLines(folder + "/parts/log.jsonl")
      let seconds = log.compactMap { $0["seconds"]?.double }
      #expect(seconds == seconds.sorted() && seconds.count == 5, "\(seconds)")
      #expect(log.map { $0["step"] } == [1, 2, 3, 4, 6].map { .integer($0) })
      #expect(
        log.allSatisfy {
          Set($0.keys) == ["step", "epoch", "seconds", "loss", "metrics", "decisions"]
        })
    }
  }

  @Test("A loss that is not finite stops the retraining with an error that names the step")
  func notFinite() throws {
    var options = options()
    options.schedule = .constant(1e30)
    options.clipNorm = nil
    let error = #expect(throws: DeviceError.self) {
      try Retrainer(
        HeadedNet(), data: try toyData(), epochs: 3, logFrequency: 1, options: options
      ).train()
    }
    #expect(error.map { "\($0)".contains("finite") && "\($0)".contains("step") } == true)
  }

  @Test("Fewer training and test images are used when asked for")
  func images() throws {
    var options = options()
    (options.images, options.testImages) = (20, 7)
    var steps = 0
    let retrainer = Retrainer(HeadedNet(), data: try toyData(), epochs: 1, options: options)
    retrainer.callbacks.progress = { steps = $0.stepCount }
    #expect(try retrainer.train().test.count == 7)
    #expect(steps == 2)
  }
}
