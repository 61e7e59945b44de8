import CKernels
import COpenCL
import Testing

@testable import EspalierTensor
@testable import OperationCases

/// Matrix products of the engine by CLBlast, as on a GPU; here on whatever device there is.
@Suite(
  "Matrix products by CLBlast", .needsOpenCL,
  .enabled(if: Blast.isInstalled, "CLBlast cannot be opened"))
struct OpenCLMatrixProductTests {
  // In processes of their own, because the switch is the device's.
  @Test("Transposed, batched and repeated products are within the bounds, forward and backward")
  func reference() async {
    await #expect(processExitsWith: .success) {
      let backend = try OpenCLBackends.shared.backend(OpenCL.device)
      backend.smallestBlastProduct = 1
      for operation in OperationCases.matmul {
        backend.usedBlast = false
        let values = operation.values()
        let found = try OpenCL.run { try operation.evaluate(values, .float32) }
        let again = try OpenCL.run { try operation.evaluate(values, .float32) }
        let exact = try Planning.$option.withValue(.reference) {
          try operation.evaluate(values, .float32)
        }
        let messages = try operation.disagreements(found, exact, values)
        guard messages.isEmpty else { throw Unexpected(text: "\(messages)") }
        guard again.outputs == found.outputs && again.gradients == found.gradients else {
          throw Unexpected(text: "\(operation) differs between two runs")
        }
        guard backend.usedBlast || operation.flops == 0 else {
          throw Unexpected(text: "\(operation) did not run by CLBlast")
        }
      }
      guard backend.smallestBlastProduct == 1 else { throw Unexpected(text: "CLBlast failed") }
    }
  }

  @Test("Products so large that CLBlast copies operands first are exact on whole numbers")
  func large() async {
    await #expect(processExitsWith: .success) {
      let backend = try OpenCLBackends.shared.backend(OpenCL.device)
      // From 896³ multiply-adds a matrix on, where the device is not tuned for.
      for operation in [
        OperationCases.product(nil, nil, 900, 910, 890, true, false, hasGolden: false),
        OperationCases.product(1, 2, 900, 910, 890, false, true, hasGolden: false),
      ] {
        let values = operation.integerValues()
        backend.smallestBlastProduct = nil
        let own = try OpenCL.run { try operation.outputs(values, .float32) }
        backend.smallestBlastProduct = 1
        let found = try OpenCL.run { try operation.outputs(values, .float32) }
        guard found.outputs == own.outputs && backend.smallestBlastProduct == 1 else {
          throw Unexpected(text: "\(operation)")
        }
      }
    }
  }

  @Test("Operands behind other values and behind inner bases give the same bytes")
  func offsets() async {
    await #expect(processExitsWith: .success) {
      let backend = try OpenCLBackends.shared.backend(OpenCL.device)
      var generator = CaseGenerator(name: "offsets", seed: 1)
      let numbers = (0..<(96 * 96)).map { _ in Float(generator.uniform(-1, 1)) }
      func products() throws -> [Double] {
        try OpenCL.run {
          let a = try Tensor(numbers, shape: [96, 96])
          return try step {
            let (b, c) = (matmul(a, a, transposingB: true), matmul(a, a, transposingA: true))
            return matmul(b - a, c + a) + matmul(b, c)
          }.numbers()
        }
      }
      backend.smallestBlastProduct = nil
      let own = try products()
      backend.smallestBlastProduct = 1
      let whole = try products()
      backend.windowSpacing = 4096
      let parted = try products()
      guard parted == whole else { throw Unexpected(text: "inner bases change the products") }
      // √96 · 2⁻²³ · Σ|a·b| of either kernel, for two products; Σ|a·b| is below 96² on these numbers.
      let bound = 2 * 2 * 10 * 0x1p-23 * 96 * 96
      if let text = disagreement(whole, own, "products", bound: { _ in bound }) {
        throw Unexpected(text: text)
      }
    }
  }

  @Test("Small products, a missing library and a failed call are the own kernel's")
  func ownKernel() async {
    await #expect(processExitsWith: .success) {
      let backend = try OpenCLBackends.shared.backend(OpenCL.device)
      func product(_ k: Int) throws -> [Double] {
        try OpenCL.run {
          let a = try Tensor((0..<(3 * k)).map { Float($0) / 7 }, shape: [3, k])
          return try step { matmul(a, a, transposingB: true) }.numbers()
        }
      }
      let isGPU = backend.description.type == Int32(ESP_CL_GPU)
      guard isGPU || backend.smallestBlastProduct == nil else {
        throw Unexpected(text: "CLBlast is on by itself")
      }
      backend.smallestBlastProduct = nil
      let own = try product(50)
      backend.smallestBlastProduct = 3 * 3 * 50 + 1
      guard try product(50) == own && !backend.usedBlast else { throw Unexpected(text: "small") }
      backend.smallestBlastProduct = 1
      backend.isBlastInstalled = false
      guard try product(50) == own && !backend.usedBlast else { throw Unexpected(text: "missing") }
      backend.isBlastInstalled = true
      // CLBlast refuses a product over no terms.
      backend.smallestBlastProduct = 0
      guard try product(0) == [Double](repeating: 0, count: 9), !backend.usedBlast,
        backend.smallestBlastProduct == nil
      else { throw Unexpected(text: "failed call") }
    }
  }

  @Test("Operands end where the last element lies")
  func extents() {
    for (transposesA, transposesB) in [(0, 0), (1, 0), (0, 1), (1, 1)] as [(Int32, Int32)] {
      var row = esp_matmul_row()
      (row.batch, row.m, row.n, row.k) = (3, 5, 7, 4)
      (row.transpose_a, row.transpose_b) = (transposesA, transposesB)
      (row.lda, row.ldb, row.ldy) = (transposesA == 1 ? 5 : 4, transposesB == 1 ? 4 : 7, 7)
      (row.batch_a, row.batch_b, row.batch_y) = (20, 0, 35)
      #expect(row.extents == [60, 28, 105])
    }
  }
}
