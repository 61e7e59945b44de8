import EspalierTensor
import Foundation
import OperationCases
import Testing

/// What PyTorch gave for a case in float64.
struct Golden: Codable {
  struct Array: Codable {
    var shape: [Int]
    var values: [Double]
  }
  /// A hash of the inputs it was made from.
  var inputs: String
  var outputs: [Array]
  /// Where the case asks for PyTorch's gradient: of `Σ u · y`, one for each differentiable input.
  var gradients: [Array]?

  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Golden")

  /// All goldens by case.
  static let all: [String: Golden] = {
    var all: [String: Golden] = [:]
    let files = try? FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    for file in files ?? [] where file.pathExtension == "json" {
      guard let data = try? Data(contentsOf: file),
        let some = try? JSONDecoder().decode([String: Golden].self, from: data)
      else { continue }
      all.merge(some) { old, _ in old }
    }
    return all
  }()
}

/// A case as `generate.py` reads it.
private struct Question: Codable {
  var name: String
  var torch: String
  var hash: String
  var types: [String]
  var shapes: [[Int]]
  var values: [[Double]]
  /// Inputs to differentiate by, where the gradient is asked for.
  var differentiable: [Int]
  var upstream: [[Double]]
}

extension OperationCase {
  fileprivate var inputHash: String {
    var hash = BitHash()
    for list in values() { hash.add(list) }
    return String(hash.value, radix: 16)
  }
}

@Suite("Goldens from PyTorch")
struct GoldenTests {
  static let cases = OperationCases.all.filter { $0.torch != nil }

  @Test("Results in float64 are PyTorch's", arguments: cases)
  func forward(_ operation: OperationCase) throws {
    let golden = try #require(Golden.all[operation.name], "run generate.py")
    #expect(golden.inputs == operation.inputHash, "the case has changed: run generate.py")
    let found = try operation.evaluate(operation.values(), .float64)
    try #require(found.outputs.count == golden.outputs.count)
    for (index, expected) in golden.outputs.enumerated() {
      #expect(found.shapes[index].dimensions == expected.shape)
      let largest = expected.values.reduce(0) { max($0, Swift.abs($1)) }
      let message = disagreement(found.outputs[index], expected.values, operation.name) {
        1e-10 * Swift.abs(expected.values[$0]) + 1e-12 * largest
      }
      #expect(message == nil)
    }
    for (index, expected) in (golden.gradients ?? []).enumerated() {
      let message = disagreement(
        found.gradients[index], expected.values, "gradient \(operation.differentiable[index])"
      ) { 1e-10 * Swift.abs(expected.values[$0]) + 1e-12 }
      #expect(message == nil)
    }
  }

  @Test("Results in float32 are PyTorch's within their bounds", arguments: cases)
  func single(_ operation: OperationCase) throws {
    let golden = try #require(Golden.all[operation.name], "run generate.py")
    let values = operation.values()
    let found = try operation.outputs(values, .float32)
    let expected = Evaluation(outputs: golden.outputs.map(\.values))
    #expect(try operation.disagreements(found, expected, values) == [])
  }

  @Test("Names are unique and every golden belongs to a case")
  func names() {
    let names = (OperationCases.all + OperationCases.large).map(\.name)
    #expect(Set(names).count == names.count)
    #expect(Set(Golden.all.keys).subtracting(names) == [])
  }

  /// `ESPALIER_WRITE_CASES=cases.json swift test --filter GoldenTests/question`, then `generate.py`.
  @Test(
    "Writes the inputs for generate.py",
    .enabled(if: ProcessInfo.processInfo.environment["ESPALIER_WRITE_CASES"] != nil))
  func question() throws {
    let path = try #require(ProcessInfo.processInfo.environment["ESPALIER_WRITE_CASES"])
    let questions = try Self.cases.map { operation in
      let values = operation.values()
      let shapes = operation.isAtKink ? try operation.outputs(values, .float64).shapes : []
      return Question(
        name: operation.name, torch: operation.torch ?? "", hash: operation.inputHash,
        types: operation.inputs.map { input in
          switch input.fill {
          case .labels: "int32"
          case .mask: "bool"
          default: "float64"
          }
        }, shapes: operation.inputs.map(\.shape.dimensions), values: values,
        differentiable: operation.isAtKink ? operation.differentiable : [],
        upstream: shapes.enumerated().map { operation.upstream($0, $1.count) })
    }
    try JSONEncoder().encode(questions).write(to: URL(fileURLWithPath: path))
  }
}
