import EspalierTensor
import OperationCases
import Testing

@Suite("OpenCL agrees with the CPU", .needsOpenCL)
struct OpenCLAgreementTests {
  // Large max pools are held to exact results below: in their gradient up to nine windows meet in
  // one element, which a bound for the one term of the forward pass does not know.
  @Test(
    "Every case is within its bounds of the float64 reference, forward and backward",
    arguments: OperationCases.all + OperationCases.large.filter { $0.stem != "max_pool2d" })
  func reference(_ operation: OperationCase) throws {
    let values = operation.values()
    let found = try OpenCL.run { try operation.evaluate(values, .float32) }
    let exact = try Planning.$option.withValue(.reference) {
      try operation.evaluate(values, .float32)
    }
    #expect(found.shapes == exact.shapes)
    #expect(try operation.disagreements(found, exact, values) == [])
  }

  @Test(
    "Whole numbers give exact results, forward and backward",
    arguments: (OperationCases.all + OperationCases.large).filter(\.isIntegerExact))
  func integers(_ operation: OperationCase) throws {
    let values = operation.integerValues()
    let found = try OpenCL.run { try operation.evaluate(values, .float32, integers: true) }
    let exact = try operation.evaluate(values, .float64, integers: true)
    for (x, y) in zip(found.outputs + found.gradients, exact.outputs + exact.gradients) {
      #expect(disagreement(x, y, operation.name) { _ in 0 } == nil)
    }
  }

  @Test("A repeated evaluation gives the same bytes", arguments: OperationCases.large)
  func repeated(_ operation: OperationCase) throws {
    let values = operation.values()
    let first = try OpenCL.run { try operation.evaluate(values, .float32) }
    let second = try OpenCL.run { try operation.evaluate(values, .float32) }
    for (x, y) in zip(first.outputs + first.gradients, second.outputs + second.gradients) {
      #expect(x.map(\.bitPattern) == y.map(\.bitPattern))
    }
  }

  @Test(
    "Float64 tensors, which have no OpenCL kernels, get the CPU's results bit for bit",
    arguments: OperationCases.all.filter { $0.flops < 3000 })
  func float64(_ operation: OperationCase) throws {
    let values = operation.values()
    let found = try OpenCL.run { try operation.evaluate(values, .float64) }
    let expected = try operation.evaluate(values, .float64)
    for (x, y) in zip(found.outputs + found.gradients, expected.outputs + expected.gradients) {
      #expect(x.map(\.bitPattern) == y.map(\.bitPattern))
    }
  }

  @Test("The reference plan runs on copies and gives the CPU's results bit for bit")
  func referencePlan() throws {
    let operation = try #require(OperationCases.named("conv2d/3x3 bias"))
    let values = operation.values()
    func evaluate() throws -> Evaluation {
      try Planning.$option.withValue(.reference) { try operation.evaluate(values, .float32) }
    }
    let (found, expected) = (try OpenCL.run(evaluate), try evaluate())
    #expect(found.outputs == expected.outputs)
    #expect(found.gradients == expected.gradients)
  }

  @Test("Uniform numbers and keep masks are the CPU's; normal and Gumbel differ by 4 units")
  func random() throws {
    let draws: [(Double, () -> Tensor)] = [
      (0, { Tensor.uniform([1000]) }), (0, { dropout(Tensor(ones: [777]), 0.3) }),
      (4, { Tensor.normal([1000]) }), (4, { Tensor.gumbel([999]) }),
    ]
    for (ulps, draw) in draws {
      let seeds: [UInt64] = [1, 0xFFFF_FFFF_0000_0003]
      for seed in seeds {
        let state = RandomState(seed: seed, step: 5)
        let found = try OpenCL.run { try step(random: state) { draw() }.numbers() }
        let expected = try step(random: state) { draw() }.numbers()
        let message = disagreement(found, expected, "draw") {
          ulps * max(unitInLastPlace(expected[$0]), unitInLastPlace(1))
        }
        #expect(message == nil)
      }
    }
  }
}
