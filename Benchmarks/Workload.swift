import Espalier

/// A training step that is timed as a whole.
struct Workload: Sendable {
  /// Its name on the command line.
  let name: String
  /// What the numbers do not say.
  let note: String
  /// The paper's sizes.
  var defaultChannels = 16
  var defaultCells = 8
  var defaultSteps = 10
  /// Steps before the clock starts, and how many in a row must have planned nothing.
  var warmUp: (least: Int, most: Int, quiet: Int) = (2, 2, 0)
  /// By how much, relatively, two plans' losses may differ.
  var largestDifference = 1e-4
  /// The step at its first batch; what the library plans ahead is planned.
  let makeStep: @Sendable (StepSizes) throws -> any TrainingStep

  /// All workloads: the fixed ones, then every strategy by its name.
  static var all: [Workload] {
    let fixed = [darts, path, retrain, cellBench]
    return fixed
      + StrategyDefinition.all.filter { strategy in !fixed.contains { $0.name == strategy.name } }
      .map(search)
  }

  /// All names, for messages.
  static var names: String { all.map(\.name).joined(separator: "|") }

  /// DARTS, first order: one pass for the architecture, one for the weights.
  private static let darts = Workload(
    name: "darts", note: "official space, two passes, SGD with clipping and Adam as in the paper",
    makeStep: { try SupernetStep(DARTS(), $0) })

  /// One uniformly drawn path through the same supernet, weights only.
  private static let path = Workload(
    name: "path", note: "one of 7 candidates an edge, shared by cells of one kind, all edges kept",
    defaultSteps: 50, warmUp: (8, 200, 8), makeStep: { try SupernetStep(PathSampling(), $0) })

  /// The 20-cell network of the published genotype DARTS_V2.
  ///
  /// The second loss of 20 cells tells rounding from errors less well: two float32 plans are equally
  /// far, 1e-2, from what float64 gives, since ReLUs near zero flip.
  private static let retrain = Workload(
    name: "retrain",
    note: "DARTS_V2, auxiliary head of weight 0.4, drop path 0.1 (half-way of 0.2)",
    defaultChannels: 36, defaultCells: 20, largestDifference: 1e-3,
    makeStep: { try RetrainStep($0) })

  /// DARTS, first order, on the cells of NAS-Bench-201.
  private static let cellBench = Workload(
    name: "nas-bench-201", note: "darts on that space", defaultCells: 5,
    makeStep: { sizes in
      var sizes = sizes
      sizes.space = sizes.space ?? "nas-bench-201"
      return try SupernetStep(DARTS(), sizes)
    })

  /// Steps of a strategy with its defaults, whole cycles of its updates.
  private static func search(_ strategy: StrategyDefinition) -> Workload {
    let space = spaces[strategy.name] ?? "darts"
    return Workload(
      name: strategy.name, note: "steps of the strategy, all kinds of updates in their proportion",
      defaultCells: space == "nas-bench-201" ? 5 : 8, defaultSteps: 20,
      makeStep: { sizes in
        var sizes = sizes
        sizes.space = sizes.space ?? space
        return try SupernetStep(strategy.make(SettingValues()), sizes)
      })
  }

  /// The space of a strategy that is not timed on `darts`.
  private static let spaces = [
    "enas": "nas-bench-201", "proxyless": "nas-bench-201", "fbnet": "nas-bench-201",
    "single-path": "single-path", "smash": "smash",
  ]
}

/// How large a step is.
struct StepSizes {
  var batch: Int
  var channels: Int
  var cells: Int
  /// Height and width of the images.
  var image = 32
  /// The space whose supernet is searched; nil is the workload's.
  var space: String?
  /// Whether a retraining has the auxiliary head.
  var hasAuxiliaryHead = true

  /// The same step with next to nothing to compute: what it takes is the host's.
  var tiny: StepSizes {
    StepSizes(
      // As few channels as every strategy takes: a quarter of them has two halves.
      batch: 1, channels: 8, cells: cells, image: 8, space: space, hasAuxiliaryHead: false)
  }

  /// What a space is made from.
  func settings(_ more: [String: String] = [:]) -> SpaceSettings {
    SpaceSettings(
      image: ImageShape(channels: 3, height: image, width: image), classes: 10,
      values: ["channels": "\(channels)", "cells": "\(cells)"].merging(more) { $1 })
  }

  /// Random images in the shape of CIFAR-10's and random labels.
  func dataset(batches: Int) -> InMemoryDataset {
    var generator = SeededGenerator(seed: 7)
    let count = batches * batch
    return InMemoryDataset(
      images: (0..<count * image * image * 3).map { _ in Float(generator.normal()) },
      labels: (0..<count).map { _ in Int32.random(in: 0..<10, using: &generator) }, channels: 3,
      height: image, width: image, classCount: 10)
  }
}

/// A model that can be trained one step at a time.
protocol TrainingStep: AnyObject {
  /// Runs step `number` on its batch and waits for it; returns the training loss.
  func run(_ number: Int) throws -> Double
  /// Floating-point operations of the last step's convolutions and linear layers; nil where the
  /// step does not say which candidates ran how often.
  func flopsOfLastStep() -> Double?
}
