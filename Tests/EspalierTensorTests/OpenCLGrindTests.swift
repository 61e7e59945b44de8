import EspalierTensor
import OperationCases
import Testing

/// Runs every kernel in oclgrind, a simulator that reports each access beyond a buffer.
///
/// Its exit code is 0 whatever it finds, and it makes its log where nothing was wrong too: so the
/// log must exist and be empty, the device must be the simulator, and the results right.
@Suite(
  "oclgrind finds nothing in any kernel", .serialized,
  .enabled(if: Simulator.isInstalled, "no oclgrind"))
struct OpenCLGrindTests {
  @Test("Every kernel stays within its buffers and gives the right results")
  func kernels() async {
    await #expect(processExitsWith: .success) { try Simulator.run("kernels", runKernels) }
    #expect(Simulator.findings("kernels") == ("", nil))
  }

  @Test("Rows of one launch keep to their own operands")
  func rows() async {
    if SimulatedCases.part == nil {
      await #expect(processExitsWith: .success) {
        try Simulator.reporting("rows") { _ in try runGuardedRows() }
      }
      #expect(Simulator.findings("rows").error == nil)
    } else {
      await #expect(processExitsWith: .success) { try Simulator.run("rows", runGuardedRows) }
      #expect(Simulator.findings("rows") == ("", nil))
    }
  }

  @Test("Kernels have no races")
  func races() async {
    await #expect(processExitsWith: .success) {
      try Simulator.run("races", options: ["DATA_RACES"]) { _ = try trained(.sgd, steps: 1) }
    }
    #expect(Simulator.findings("races") == ("", nil))
  }

  @Test("An access beyond a buffer would have been found")
  func overrun() async {
    await #expect(processExitsWith: .success) { try Simulator.run("overrun", writeBeyond) }
    #expect(Simulator.findings("overrun").log?.contains("Invalid write of size 4") == true)
  }
}

private func runKernels() throws {
  var wrong: [String] = []
  for operation in SimulatedCases.all {
    let values = operation.values()
    let found = try OpenCL.run { try operation.evaluate(values, .float32) }
    let exact = try operation.evaluate(values, .float32)
    for (x, y) in zip(found.outputs + found.gradients, exact.outputs + exact.gradients) {
      let largest = y.reduce(1e-6) { max($0, Swift.abs($1)) }
      // The simulator's own `pow` is off by 6e-6.
      wrong += [disagreement(x, y, operation.name) { _ in 1e-5 * largest }].compactMap { $0 }
    }
  }
  if SimulatedCases.part == nil { wrong += try runRest() }
  guard wrong.isEmpty else { throw Unexpected(text: wrong.joined(separator: "\n")) }
}

/// Element types, training, and whether every kernel has run.
private func runRest() throws -> [String] {
  var wrong: [String] = []
  let found = try OpenCL.run(elementTypes)
  let expected = try elementTypes()
  wrong += [disagreement(found, expected, "element types") { _ in 0 }].compactMap { $0 }
  wrong += try [.sgd, .adam, .rmsprop].flatMap { try trained($0, steps: 2) }
  let used = Set(DeviceList.openCLKernels(of: OpenCL.device))
  return wrong + embeddedKernels().filter { !used.contains($0) }.map { "\($0) did not run" }
}

/// On PoCL for the sample, in the simulator for a part of the whole list.
private func runGuardedRows() throws {
  for operation in SimulatedCases.all {
    _ = try OpenCL.run { try operation.evaluate(operation.values(), .float32) }
  }
  var rows = try GuardedRows(OpenCL.device)
  try rows.checkPlans()
  guard rows.callCount > 0, rows.problems.isEmpty else {
    throw Unexpected(text: "\(rows.callCount) calls: \(rows.problems.prefix(20))")
  }
}

/// Kernels of the element types that the cases leave out.
private func elementTypes() throws -> [Double] {
  let x = try Tensor((0..<35).map(Int32.init), shape: [5, 7])
  let wide = try Tensor((0..<35).map(Double.init), shape: [5, 7])
  let flags = try Tensor((0..<35).map { $0 % 3 == 0 }, shape: [5, 7])
  let results = try step {
    [
      x + x * x, which(flags, x, x + x), x .> (x * x - x), flags.permuted([1, 0]),
      flags.padded([(1, 2), (0, 1)]), x.padded([(1, 2), (0, 1)]), wide.permuted([1, 0]),
      x.cast(to: .float32), x.slice(0..<2, axis: 1).reshaped(to: [10]).oneHot(classes: 4).sum(),
      dropout(Tensor(ones: [33]), 0.5),
    ]
  }
  return try results.flatMap { try $0.numbers() }
}

private func trained(_ rule: SmallNetwork.Rule, steps: Int) throws -> [String] {
  var onCPU = try SmallNetwork(rule)
  let network = try OpenCL.run { try SmallNetwork(rule) }
  var onOpenCL = network
  return try (0..<steps).compactMap { _ in
    let expected = try onCPU.train().item()
    let found = try OpenCL.run { try onOpenCL.train().item() }
    return disagreement([found], [expected], "training with \(rule)") { _ in 1e-4 * expected }
  }
}
