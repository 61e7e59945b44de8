import Espalier

/// A training step that is timed as a whole.
enum Workload: String, CaseIterable {
  /// DARTS, first order: one pass for the architecture, one for the weights.
  case darts
  /// One uniformly drawn path through the same supernet, weights only.
  case path
  /// The 20-cell network of the published genotype DARTS_V2.
  case retrain

  /// All names, for messages.
  static var names: String { allCases.map(\.rawValue).joined(separator: "|") }

  /// The paper's sizes.
  var defaultChannels: Int { self == .retrain ? 36 : 16 }
  var defaultCells: Int { self == .retrain ? 20 : 8 }
  var defaultSteps: Int { self == .path ? 50 : 10 }

  /// Steps before the clock starts, and how many in a row must have planned nothing.
  var warmUp: (least: Int, most: Int, quiet: Int) { self == .path ? (8, 200, 8) : (2, 2, 0) }

  /// By how much, relatively, two plans' losses may differ.
  ///
  /// The second loss of 20 cells tells rounding from errors less well: two float32 plans are equally
  /// far, 1e-2, from what float64 gives, since ReLUs near zero flip.
  var largestDifference: Double { self == .retrain ? 1e-3 : 1e-4 }

  /// What the numbers do not say.
  var note: String {
    switch self {
    case .darts: "official space, two passes, SGD with clipping and Adam as in the paper"
    case .path: "one of 7 candidates an edge, shared by cells of one kind, all edges kept"
    case .retrain: "DARTS_V2, auxiliary head of weight 0.4, drop path 0.1 (half-way of 0.2)"
    }
  }

  /// The step at its first batch; what the library plans ahead is planned.
  func makeStep(_ sizes: StepSizes) throws -> any TrainingStep {
    switch self {
    case .darts: try SupernetStep(DARTS(), sizes)
    case .path: try SupernetStep(PathSampling(), sizes)
    case .retrain: try RetrainStep(sizes)
    }
  }
}

/// How large a step is.
struct StepSizes {
  var batch: Int
  var channels: Int
  var cells: Int
  /// Height and width of the images.
  var image = 32
  /// Whether a retraining has the auxiliary head.
  var hasAuxiliaryHead = true

  /// The same step with next to nothing to compute: what it takes is the host's.
  var tiny: StepSizes {
    StepSizes(batch: 1, channels: 2, cells: cells, image: 8, hasAuxiliaryHead: false)
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
  /// Floating-point operations of the last step's convolutions and linear layers.
  func flopsOfLastStep() -> Double
}
