import Testing

@testable import EspalierTensor

/// Operands of buffers with more elements than a row's 32-bit offset counts.
@Suite("Operands far into a buffer")
struct OpenCLWindowTests {
  @Test("Base and offset add up, for every element size, on both sides of 2³¹ and 2³² elements")
  func arithmetic() {
    for elementBytes in [1, 4, 8] {
      for power in [0, 20, 31, 32, 33, 40] {
        for shift in [-64, 0, 64] where (1 << power) + shift >= 0 {
          let byteOffset = ((1 << power) + shift) * elementBytes
          let window = OperandWindow(byteOffset: byteOffset, elementBytes: elementBytes)
          #expect(window.origin + Int(window.offset) * elementBytes == byteOffset)
          #expect(window.origin % (1 << 31) == 0)
          #expect(Int(window.offset) < 1 << 31)
        }
      }
    }
  }

  @Test("Training through bases inside the buffers gives the same bits", .needsOpenCL)
  func training() async {
    await #expect(processExitsWith: .success) {
      func losses() throws -> [Double] {
        try OpenCL.run {
          var network = try SmallNetwork(.adam)
          return try (0..<3).map { _ in try network.train().item() }
        }
      }
      let backend = try OpenCLBackends.shared.backend(OpenCL.device)
      let whole = try losses()
      // The network's activations take 8,192 elements each: most lie behind the first base.
      backend.windowSpacing = 4096
      let parted = try losses()
      guard parted == whole else { throw Unexpected(text: "\(parted), whole \(whole)") }
    }
  }
}
