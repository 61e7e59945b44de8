import EspalierTensor
import OperationCases
import Testing

@Suite("Fused kernels on OpenCL", .needsOpenCL)
struct OpenCLFusedTests {
  @Test(
    "Chains are as near the float64 reference as the CPU's, forward and backward",
    arguments: OperationCases.fused.filter { $0.stem == "relu_depthwise_pointwise" })
  func reference(_ operation: OperationCase) throws {
    let values = operation.values()
    let found = try OpenCL.run { try operation.evaluate(values, .float32) }
    let exact = try Planning.$option.withValue(.reference) {
      try operation.evaluate(values, .float32)
    }
    #expect(try operation.disagreements(found, exact, values) == [])
    let again = try OpenCL.run { try operation.evaluate(values, .float32) }
    #expect(again.outputs == found.outputs && again.gradients == found.gradients)
  }

  @Test("Every chain runs in its fused kernels, one by one with none of them")
  func kernels() async {
    // In a process of its own: other tests use kernels too.
    await #expect(processExitsWith: .success) {
      func fused() -> [String] {
        DeviceList.openCLKernels(of: OpenCL.device).filter { $0.contains("relu_depthwise") }
      }
      func run(_ option: Planning) throws {
        for operation in OperationCases.fused where operation.stem == "relu_depthwise_pointwise" {
          let values = operation.values()
          _ = try Planning.$option.withValue(option) {
            try OpenCL.run { try operation.evaluate(values, .float32) }
          }
        }
      }
      try run(.none)
      guard fused().isEmpty else { throw Unexpected(text: "without fusions: \(fused())") }
      try run(.full)
      let missing = Set(embeddedKernels().filter { $0.contains("relu_depthwise") })
        .subtracting(fused())
      guard missing.isEmpty else { throw Unexpected(text: "did not run: \(missing)") }
    }
  }
}
