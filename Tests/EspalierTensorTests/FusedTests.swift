import EspalierTensor
import OperationCases
import Testing

@testable import EspalierTensor

@Suite("Fused kernels on the CPU")
struct FusedTests {
  @Test(
    "They agree with the float64 reference forward and backward, in fewer launches than without",
    arguments: OperationCases.fused)
  func reference(_ operation: OperationCase) throws {
    let values = operation.values()
    func run(_ option: Planning) throws -> (Evaluation, launches: Int) {
      let before = EngineStatistics.threadCounters.launches
      let result = try Planning.$option.withValue(option) {
        try operation.evaluate(values, .float32)
      }
      return (result, EngineStatistics.threadCounters.launches - before)
    }
    let (exact, _) = try run(.reference)
    let (_, separate) = try run(.none)
    let (found, fused) = try run(.full)
    let messages = try operation.disagreements(found, exact, values)
    #expect(messages.isEmpty, "\(messages)")
    #expect(fused < separate)
  }
}
