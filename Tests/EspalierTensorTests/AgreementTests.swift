import CKernels
import EspalierTensor
import Glibc
import OperationCases
import Testing

@Suite("Agreement of element types, plans, threads and instruction sets")
struct AgreementTests {
  @Test(
    "Float32 is within its bounds of the float64 reference, forward and backward",
    arguments: OperationCases.all)
  func reference(_ operation: OperationCase) throws {
    #expect(try operation.disagreementsWithReference(.full) == [])
  }

  @Test("Plans with all passes and with none give the same numbers", arguments: OperationCases.all)
  func plans(_ operation: OperationCase) throws {
    let values = operation.values()
    let full = try Planning.$option.withValue(.full) { try operation.evaluate(values, .float32) }
    let none = try Planning.$option.withValue(.none) { try operation.evaluate(values, .float32) }
    #expect(try operation.disagreements(full, none, values) == [])
  }

  @Test("The reference plan of float32 tensors computes in float64", arguments: OperationCases.all)
  func referencePlan(_ operation: OperationCase) throws {
    let values = operation.values()
    let wide = try operation.evaluate(values, .float64)
    let reference = try Planning.$option.withValue(.reference) {
      try operation.evaluate(values, .float32)
    }
    // One rounding to float32 at the end, and one more where a gradient passes a border.
    for (found, expected) in zip(
      reference.outputs + reference.gradients, wide.outputs + wide.gradients)
    {
      let largest = expected.reduce(0) { max($0, Swift.abs($1)) }
      let message = disagreement(found, expected, operation.name) {
        unitInLastPlace(expected[$0]) + 1e-9 * largest
      }
      #expect(message == nil)
    }
  }

  @Test(
    "Whole numbers give exact results, forward and backward",
    arguments: OperationCases.all.filter(\.isIntegerExact))
  func integers(_ operation: OperationCase) throws {
    let values = operation.integerValues()
    let found = try operation.evaluate(values, .float32, integers: true)
    let exact = try operation.evaluate(values, .float64, integers: true)
    for (x, y) in zip(found.outputs + found.gradients, exact.outputs + exact.gradients) {
      #expect(disagreement(x, y, operation.name) { _ in 0 } == nil)
    }
  }

  @Test(
    "Whole numbers give exact results on shapes of a supernet",
    arguments: OperationCases.large.filter(\.isIntegerExact))
  func largeIntegers(_ operation: OperationCase) throws { try integers(operation) }

  @Test("1, 2 and 8 threads give the same bytes")
  func threads() async throws {
    // The number of threads is chosen once a process.
    var hashes: Set<String> = []
    for threads in [1, 2, 8] as [Int32] {
      let result = await #expect(
        processExitsWith: .success, observing: [\.standardOutputContent]
      ) { [threads = threads as Int32] in
        esp_set_threads(threads)
        var hash = BitHash()
        for operation in OperationCases.large {
          let found = try operation.evaluate(operation.values(), .float32)
          for list in found.outputs + found.gradients { hash.add(list) }
        }
        print("hash \(esp_threads() == threads) \(hash.value)")
      }
      let text = String(decoding: result?.standardOutputContent ?? [], as: UTF8.self)
      let line = try #require(text.split(separator: "\n").first { $0.contains("hash true") })
      hashes.insert(String(line))
    }
    #expect(hashes.count == 1)
  }

  @Test("A repeated evaluation gives the same bytes", arguments: OperationCases.all)
  func repeated(_ operation: OperationCase) throws {
    let values = operation.values()
    let first = try operation.evaluate(values, .float32)
    let second = try operation.evaluate(values, .float32)
    for (x, y) in zip(first.outputs + first.gradients, second.outputs + second.gradients) {
      #expect(x.map(\.bitPattern) == y.map(\.bitPattern))
    }
  }

  @Test("AVX2 kernels are within the bounds")
  func avx2() async {
    await #expect(processExitsWith: .success) {
      try agreesWithReference(instructionSet: "avx2")
    }
  }

  @Test("Kernels without vector extensions are within the bounds")
  func baseline() async {
    await #expect(processExitsWith: .success) {
      try agreesWithReference(instructionSet: "baseline")
    }
  }
}

private struct Disagreement: Error {
  let messages: [String]
}

/// In a process of its own: an instruction set is chosen once.
private func agreesWithReference(instructionSet: String) throws {
  setenv("ESPALIER_ISA", instructionSet, 1)
  let chosen = String(cString: esp_instruction_set())
  guard chosen == instructionSet || chosen == "baseline" else {
    throw Disagreement(messages: ["runs on \(chosen)"])
  }
  var messages: [String] = []
  for operation in OperationCases.all {
    messages += try operation.disagreementsWithReference(.full)
    guard operation.isIntegerExact else { continue }
    let values = operation.integerValues()
    let found = try operation.evaluate(values, .float32, integers: true)
    let exact = try operation.evaluate(values, .float64, integers: true)
    for (x, y) in zip(found.outputs + found.gradients, exact.outputs + exact.gradients) {
      messages += [disagreement(x, y, operation.name) { _ in 0 }].compactMap { $0 }
    }
  }
  if !messages.isEmpty { throw Disagreement(messages: messages) }
}
