import Foundation
import Synchronization
import Testing

@testable import Espalier

@Suite("Numbers that are not finite", .seededWeights)
struct NotFiniteTests {
  @Test("A loss that is not finite stops the search with an error that names the step")
  func notFinite() throws {
    var options = toyOptions()
    options.objective.loss = { output, batch in
      crossEntropy(output, batch.labels ?? output) * Float.infinity
    }
    let error = #expect(throws: DeviceError.self) {
      try SearchTrainer(
        ToyNet(), strategy: RandomSearch(), data: try toyData(), epochs: 1, options: options
      ).train()
    }
    #expect(
      error.map { "\($0)".contains("1") && "\($0)".contains("finite") } == true, "\(error as Any)")
  }

  @Test("A validation loss that is not finite stops the search too")
  func notFiniteValidation() throws {
    // Only the half that trains α has a broken image; statistics are measured before it breaks.
    let (_, held) = DatasetSplit.halves(count: 48, portion: 0.5, seed: 3)
    let data = try LoadedData(
      train: BreakingDataset(samples: toyImages(48), index: held[0]), test: toyImages(8))
    let error = #expect(throws: DeviceError.self) {
      try withTemporaryFolder { try runToySearch($0, data: data) }
    }
    #expect(error.map { "\($0)".contains("finite") } == true)
  }

  /// The step of a folder's checkpoint, all of whose numbers are finite.
  private func lastGoodStep(_ folder: String) throws -> Int? {
    let file = try Safetensors.loadNewest(at: folder + "/checkpoint.safetensors").contents
    #expect(file.entries.count > 10)
    #expect(file.entries.values.allSatisfy { $0.floats?.allSatisfy(\.isFinite) != false })
    return file.metadata["step"].flatMap { Int($0) }
  }

  @Test(
    "With far too large a learning rate a search stops at the step that sees it, behind its last good checkpoint",
    arguments: strategyNames)
  func learningRate(name: String) throws {
    try withTemporaryFolder { folder in
      var options = toyOptions()
      // The checkpoint is the first that reads the flag: nothing is logged after step 1.
      (options.schedule, options.checkpointInterval) = (.constant(1e30), 1)
      options.clipNorm = nil
      let trainer = SearchTrainer(
        InitialWeights.with(seed: 1) { toyNet(for: name) }, strategy: try toyStrategy(name),
        data: try toyData(192), epochs: 1, logFrequency: 1000, options: options,
        directory: try RunDirectory(folder, isResuming: false))
      var steps = 0
      trainer.callbacks.shouldStop = {
        steps += 1
        return false
      }
      // Gradients overflow, or weights.
      let error = #expect(throws: (any Error).self) { try trainer.train() }
      let text = error.map { "\($0)" } ?? ""
      // An unrolled step sees in the first step what others see when it is done.
      guard name != SecondOrderDARTS.name || steps > 0 else {
        #expect(text.contains("not finite at step 1"), "\(text)")
        return
      }
      #expect(steps > 1 && steps < 12)
      #expect(text.contains("not finite") && text.hasSuffix("step \(steps)"), "\(text)")
      #expect(try lastGoodStep(folder) == steps - 1)
      #expect(try jsonLines(folder + "/log.jsonl").count == 1)
    }
  }

  @Test("A checkpoint reads the flag of a gradient that was not finite before it is written")
  func flag() throws {
    try withTemporaryFolder { folder in
      var factor: Float = 1
      var options = toyOptions()
      options.checkpointInterval = 1
      options.objective.loss = { output, batch in
        crossEntropy(output, batch.labels ?? output) * factor
      }
      let trainer = SearchTrainer(
        InitialWeights.with(seed: 1) { ToyNet() }, strategy: RandomSearch(),
        data: try toyData(192), epochs: 1, logFrequency: 1000, options: options,
        directory: try RunDirectory(folder, isResuming: false))
      var steps = 0
      trainer.callbacks.shouldStop = {
        steps += 1
        if steps == 4 { factor = .infinity }
        return false
      }
      let error = #expect(throws: DeviceError.self) { try trainer.train() }
      #expect(error.map { "\($0)".contains("not finite at step 5") } == true, "\(error as Any)")
      let good = try lastGoodStep(folder)
      #expect(good == 4)
    }
  }

  @Test("Weights that overflow in the last step are not saved: the checkpoint before stays")
  func overflow() throws {
    try withTemporaryFolder { folder in
      let net = InitialWeights.with(seed: 1) { ToyNet() }
      var options = RetrainOptions()
      (options.batchSize, options.clipNorm) = (16, nil)
      (options.momentum, options.weightDecay, options.checkpointInterval) = (0, 0, 1)
      // 48 images: harmless but for the third and last step.
      options.schedule = .step(1e-3, at: [0.6], gamma: 1e45)
      let error = #expect(throws: (any Error).self) {
        try Retrainer(
          net, data: try toyData(), epochs: 1, options: options,
          directory: try RunDirectory(folder, isResuming: false)
        ).train()
      }
      #expect(
        error.map { "\($0)".contains("not finite") && "\($0)".contains("step 3") } == true,
        "\(error as Any)")
      let good = try lastGoodStep(folder)
      #expect(good == 2)
    }
  }

  @Test("A metric that is not finite is named with its step, in training and in a selection")
  func metric() throws {
    var options = toyOptions()
    options.objective.metrics = { output, _ in
      ["odd": Mode.current.isTraining ? output.mean() : output.mean() * Float.infinity]
    }
    options.objective.selectionMetric = "odd"
    func message() -> String {
      do {
        try SearchTrainer(
          ToyNet(), strategy: RandomSearch(), data: try toyData(), epochs: 1, options: options
        ).train()
        return ""
      } catch { return "\(error)" }
    }
    #expect(message().contains("selection metric odd is"), "\(message())")
    options.objective.metrics = { output, _ in ["odd": output.mean() * Float.infinity] }
    #expect(message().contains("odd is") && message().contains("at step 1"), "\(message())")
  }
}

/// Images of which one is not finite from the second time on that it is read.
private final class BreakingDataset: StoredDataset {
  let samples: InMemoryDataset
  private let index: Int
  private let reads = Mutex(0)

  init(samples: InMemoryDataset, index: Int) {
    self.samples = samples
    self.index = index
  }
  func fillImage(
    at index: Int, into image: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError) {
    samples.fillImage(at: index, into: image)
    guard index == self.index else { return }
    let number = reads.withLock { count in
      count += 1
      return count
    }
    if number > 1 { image[0] = .nan }
  }
}
