import COpenCL
import EspalierTensor
import OperationCases
import Testing

/// CLBlast computes the same by other code on the same device.
@Suite(
  "Kernels agree with CLBlast", .needsOpenCL,
  .enabled(if: Blast.isInstalled, "CLBlast cannot be opened"))
struct OpenCLBlastTests {
  // In processes of their own, because COpenCL is for one thread at a time.
  @Test("Products, also transposed")
  func products() async {
    await #expect(processExitsWith: .success) {
      let blast = try Blast()
      for (ta, tb) in [(false, false), (true, false), (false, true)] {
        let (m, n, k) = (37, 21, 50)
        let (a, b) = (try blast.random("a", m * k), try blast.random("b", k * n))
        let (rowsA, rowsB): (Shape, Shape) = (ta ? [k, m] : [m, k], tb ? [n, k] : [k, n])
        let expected = try blast.run([a, b], count: m * n) { x, y in
          esp_cl_blast_gemm(
            blast.context, ta ? 1 : 0, tb ? 1 : 0, UInt64(m), UInt64(n), UInt64(k), 1, x[0], 0,
            UInt64(rowsA[1]), x[1], 0, UInt64(rowsB[1]), 0, y, 0, UInt64(n))
        }
        let found = try OpenCL.run {
          let (x, y) = (try Tensor(a, shape: rowsA), try Tensor(b, shape: rowsB))
          return try step { matmul(x, y, transposingA: ta, transposingB: tb) }.numbers()
        }
        // √50 · 2⁻²³ · Σ|a·b|, each of the two; |a·b| is at most 1.
        try requireAgreement(found, expected, "product", bound: 2 * 7.1 * 0x1p-23 * 50)
      }
    }
  }

  @Test("Convolutions, strided, dilated and of one pixel")
  func convolutions() async {
    await #expect(processExitsWith: .success) {
      let blast = try Blast()
      let forms = [(3, 1, 1, 1), (3, 2, 1, 1), (3, 1, 2, 2), (1, 1, 0, 1)]
      for (r, stride, padding, dilation) in forms {
        let (n, c, h, w, k) = (2, 5, 9, 7, 19)
        let (x, f) = (try blast.random("x", n * c * h * w), try blast.random("f", k * c * r * r))
        func size(_ i: Int) -> Int { (i + 2 * padding - dilation * (r - 1) - 1) / stride + 1 }
        let sizes = [n, c, h, w, k, r, r, padding, padding, stride, stride, dilation, dilation]
        let s = sizes.map { UInt64($0) }
        let expected = try blast.run([x, f], count: n * k * size(h) * size(w)) { x, y in
          esp_cl_blast_convolution(
            blast.context, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11],
            s[12], x[0], 0, x[1], 0, y, 0)
        }
        let found = try OpenCL.run {
          let input = try Tensor(x, shape: [n, c, h, w])
          let filter = try Tensor(f, shape: [k, c, r, r])
          return try step {
            conv2d(
              input, filter, stride: IntPair(stride, stride), padding: IntPair(padding, padding),
              dilation: IntPair(dilation, dilation))
          }.numbers()
        }
        try requireAgreement(found, expected, "\(r)x\(r)", bound: 2 * 6.8 * 0x1p-23 * 45)
      }
    }
  }

  @Test("Sums of positive numbers")
  func sums() async {
    await #expect(processExitsWith: .success) {
      let blast = try Blast()
      let x = try blast.random("sum", 10_007).map { Swift.abs($0) }
      let expected = try blast.run([x], count: 1) { x, y in
        esp_cl_blast_sum(blast.context, 10_007, x[0], 0, 1, y, 0)
      }
      let found = try OpenCL.run {
        let x = try Tensor(x)
        return try step { x.sum() }.numbers()
      }
      try requireAgreement(found, expected, "sum", bound: 100 * 0x1p-23 * 5003)
    }
  }
}

private func requireAgreement(
  _ found: [Double], _ expected: [Double], _ label: String, bound: Double
) throws {
  if let text = disagreement(found, expected, label, bound: { _ in bound }) {
    throw Unexpected(text: text)
  }
}

/// A context to call CLBlast in.
final class Blast {
  static let isInstalled = DeviceList.openCLProblem() == nil && esp_cl_blast_load(nil, 0) == 0

  let context: OpaquePointer

  init() throws {
    _ = DeviceList.all()
    var opened: OpaquePointer?
    try Blast.require(esp_cl_open(0, 0, &opened, nil, 0))
    guard let opened else { throw Unexpected(text: "no context") }
    context = opened
  }

  deinit { esp_cl_close(context) }

  func random(_ name: String, _ count: Int) throws -> [Float] {
    var generator = CaseGenerator(name: name, seed: 1)
    return (0..<count).map { _ in Float(generator.uniform(-1, 1)) }
  }

  /// What `call` leaves in its last argument, given buffers with `inputs`.
  func run(
    _ inputs: [[Float]], count: Int, _ call: ([OpaquePointer?], OpaquePointer?) -> Int32
  ) throws -> [Double] {
    var buffers: [OpaquePointer?] = []
    defer { for buffer in buffers { esp_cl_buffer_release(context, buffer) } }
    for input in inputs + [[Float](repeating: .nan, count: count)] {
      var buffer: OpaquePointer?
      let bytes = UInt64(4 * input.count)
      try Blast.require(esp_cl_buffer_create(context, bytes, &buffer, nil, 0))
      buffers.append(buffer)
      try Blast.require(esp_cl_write(context, buffer, 0, bytes, input, 1))
    }
    try Blast.require(call(buffers, buffers[inputs.count]))
    var result = [Float](repeating: 0, count: count)
    try Blast.require(
      esp_cl_read(context, buffers[inputs.count], 0, UInt64(4 * count), &result, 1))
    return result.map(Double.init)
  }

  private static func require(_ status: Int32) throws {
    if status != 0 { throw Unexpected(text: String(cString: esp_cl_status_name(status))) }
  }
}
