import Foundation
import Testing

@testable import Espalier

/// Normal numbers of a seed.
func noise(_ shape: Shape, seed: UInt64 = 1) throws -> Tensor {
  var generator = SeededGenerator(seed: seed)
  return try Tensor((0..<shape.count).map { _ in Float(generator.normal()) }, shape: shape)
}

/// The elements of a tensor.
func numbers(_ x: Tensor?) throws -> [Float] { try #require(x).scalars() }

/// Expects two lists to agree within `relative` of the largest expected number.
func expectClose(
  _ found: [Float], _ expected: [Float], relative: Float = 1e-5, _ label: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let scale = expected.reduce(1e-20) { max($0, abs($1)) }
  let isClose =
    found.count == expected.count
    && zip(found, expected).allSatisfy { abs($0 - $1) <= relative * scale }
  if !isClose {
    Issue.record(
      "\(label): \(found.prefix(12)), expected \(expected.prefix(12))",
      sourceLocation: sourceLocation)
  }
}

/// A folder that is gone when the body ends.
func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
  let path = NSTemporaryDirectory() + "espalier-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

/// The bytes of a file.
func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

/// Multiplies by a number, and counts how often it is asked to.
final class Scale: Module, Layer {
  let factor: Float
  var calls = 0
  init(_ factor: Float) { self.factor = factor }
  func callAsFunction(_ x: Tensor) -> Tensor {
    calls += 1
    return x * factor
  }
}

/// A model from a closure over parts that it names.
final class Model: Module, Layer {
  let parts: [(name: String, member: any ModuleMember)]
  let body: (Tensor) -> Tensor

  init(_ parts: KeyValuePairs<String, any ModuleMember>, _ body: @escaping (Tensor) -> Tensor) {
    self.parts = parts.map { ($0.key, $0.value) }
    self.body = body
  }
  override var children: [(name: String, member: any ModuleMember)] { parts }
  func callAsFunction(_ x: Tensor) -> Tensor { body(x) }
}

/// Images of a few classes by brightness in one corner; learnable by a small network.
func toyImages(
  _ count: Int, classes: Int = 3, side: Int = 6, seed: UInt64 = 9, ordered: Bool = false
)
  -> InMemoryDataset
{
  var generator = SeededGenerator(seed: seed)
  var images: [Float] = []
  var labels: [Int32] = []
  for index in 0..<count {
    let label = ordered ? index * classes / count : index % classes
    for y in 0..<side {
      for x in 0..<side {
        let isStripe = (label == 0 ? x : label == 1 ? y : x + y) % 2 == 0
        images.append(Float(0.5 + (isStripe ? 0.3 : -0.3) + 0.1 * generator.normal()))
      }
    }
    labels.append(Int32(label))
  }
  return InMemoryDataset(
    images: images, labels: labels, channels: 1, height: side, width: side, classCount: classes)
}

/// A training and a test set of `toyImages`.
func toyData(_ count: Int = 48, ordered: Bool = false) throws -> LoadedData {
  try LoadedData(
    train: toyImages(count, ordered: ordered), test: toyImages(count / 2, seed: 10))
}

/// A small net with a layer choice, an any-number and a one-of-two input choice.
final class ToyNet: Module, Layer {
  let first: LayerChoice
  let norm: BatchNorm2d
  let second: LayerChoice
  let skip = InputChoice(candidateCount: 2)
  let one = InputChoice(candidateCount: 2, chosenCount: 1)
  let classifier: Linear

  init(outputs: Int = 3, channels: Int = 4) {
    first = LayerChoice([
      "conv3x3": Conv2d(1, channels, kernelSize: 3, padding: 1),
      "conv1x1": Conv2d(1, channels, kernelSize: 1),
    ])
    norm = BatchNorm2d(channels)
    second = LayerChoice([
      "conv": Conv2d(channels, channels, kernelSize: 3, padding: 1), "skip": Identity(),
    ])
    classifier = Linear(channels, outputs)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let a = relu(norm(first(x)))
    let b = second(a)
    var c = one([a, b]) ?? b
    if let extra = skip([a, b]) { c = c + extra }
    return classifier(globalAveragePool2d(relu(c)).flattened())
  }
}

/// `ToyNet` without its input choices, for strategies that decide layers only.
final class ToyLayersNet: Module, Layer {
  let first: LayerChoice
  let norm = BatchNorm2d(4)
  let second: LayerChoice
  let classifier: Linear

  init(outputs: Int = 3) {
    classifier = Linear(4, outputs)
    first = LayerChoice([
      "conv3x3": Conv2d(1, 4, kernelSize: 3, padding: 1), "conv1x1": Conv2d(1, 4, kernelSize: 1),
    ])
    second = LayerChoice([
      "conv": Conv2d(4, 4, kernelSize: 3, padding: 1), "skip": Identity(),
      "dropout": Sequential(Dropout(0.5), Conv2d(4, 4, kernelSize: 1)),
    ])
    super.init()
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    classifier(globalAveragePool2d(relu(second(relu(norm(first(x)))))).flattened())
  }
}

/// A net of images `[1, 6, 6]` in three classes that a strategy can search.
func toyNet(for strategy: String, outputs: Int = 3) -> any Layer {
  switch strategy {
  case "proxyless": ToyLayersNet(outputs: outputs)
  default: ToyNet(outputs: outputs)
  }
}

/// Initial weights that follow from nothing but the test: tests run side by side, and would else take
/// from one source in the order in which they come to it.
struct SeededWeights: SuiteTrait, TestTrait, TestScoping {
  let isRecursive = true

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await InitialWeights.$current.withValue(InitialWeights(seed: 0), operation: function)
  }
}

extension Trait where Self == SeededWeights {
  static var seededWeights: Self { SeededWeights() }
}
