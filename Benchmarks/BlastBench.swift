import COpenCL
import Espalier
import OperationCases

/// CLBlast on an OpenCL device: convolution, matrix product, sum; beside our own kernels' rows.
///
/// It has no groups and stores `[N, C, H, W]`; seconds of compiling at its first calls do not count.
final class BlastBench {
  private let options: BenchOptions
  private let device: Device
  private var context: OpaquePointer?

  /// A context of its own on the device.
  init(_ device: Device, _ options: BenchOptions) throws {
    self.options = options
    self.device = device
    let number = Int32(String(describing: device).drop { $0 != ":" }.dropFirst()) ?? 0
    var text = [CChar](repeating: 0, count: 512)
    guard esp_cl_load(nil, &text, text.count) == 0,
      esp_cl_open(number, 0, &context, &text, text.count) == 0
    else { throw CheckError(message: "\(device): \(BlastBench.string(text))") }
  }

  deinit { if let context { esp_cl_close(context) } }

  /// Verifies, times and writes the rows; returns how many are wrong.
  func run(_ report: Report) throws -> Int {
    var text = [CChar](repeating: 0, count: 512)
    guard esp_cl_blast_load(&text, text.count) == 0 else {
      Report.say("no CLBlast: its rows are left out (\(BlastBench.string(text)))")
      return 0
    }
    var failures = 0
    for operation in OperationCases.large where options.wants(operation.name, "CLBlast") {
      switch operation.stem {
      case "conv2d": failures += try convolution(operation, report)
      case "matmul": failures += try product(operation, report)
      default: break
      }
    }
    if options.wants("reduce/sum", "CLBlast") { failures += try sum(1 << 18, report) }
    return failures
  }

  // MARK: Rows

  /// Dense and pointwise cases of stride 1.
  private func convolution(_ operation: OperationCase, _ report: Report) throws -> Int {
    let (x, w) = (operation.inputs[0].shape, operation.inputs[1].shape)
    guard x[1] == w[1] else { return 0 }
    let y = try step { operation.function(try operation.tensors(operation.values())) }[0].shape
    let padding = w[2] / 2
    return try row(operation, count: y.count, report) { context, inputs, output in
      esp_cl_blast_convolution(
        context, UInt64(x[0]), UInt64(x[1]), UInt64(x[2]), UInt64(x[3]), UInt64(w[0]),
        UInt64(w[2]), UInt64(w[3]), UInt64(padding), UInt64(padding), 1, 1, 1, 1, inputs[0], 0,
        inputs[1], 0, output, 0)
    }
  }

  /// Plain products; which operand is transposed follows from the shapes.
  private func product(_ operation: OperationCase, _ report: Report) throws -> Int {
    let (a, b) = (operation.inputs[0].shape, operation.inputs[1].shape)
    guard a.rank == 2, b.rank == 2 else { return 0 }
    let isTransposed = a[1] != b[0]
    let (m, k, n) = (a[0], a[1], isTransposed ? b[0] : b[1])
    return try row(operation, count: m * n, report) { context, inputs, output in
      esp_cl_blast_gemm(
        context, 0, isTransposed ? 1 : 0, UInt64(m), UInt64(n), UInt64(k), 1, inputs[0], 0,
        UInt64(k), inputs[1], 0, UInt64(b[1]), 0, output, 0, UInt64(n))
    }
  }

  /// `Ssum`, and our own sum of the same vector.
  private func sum(_ count: Int, _ report: Report) throws -> Int {
    let operation = OperationCase(
      "reduce/sum of \(count)", [OperationInput([count], .uniform(0, 1))], torch: nil,
      .sum(terms: count)
    ) { [$0[0].sum()] }
    let own = try Device.with(device) { try EngineCase(operation, device, isBackward: false) }
    var failures = 0
    if let own {
      failures += try OperationBench.time(
        [own.row], [{ try Device.with(self.device) { try own.run() } }], report, nil)
    }
    return try failures
      + row(operation, count: 1, report) { context, inputs, output in
        esp_cl_blast_sum(context, UInt64(count), inputs[0], 0, 1, output, 0)
      }
  }

  // MARK: One row

  private func row(
    _ operation: OperationCase, count: Int, _ report: Report,
    _ call: @escaping (OpaquePointer?, [OpaquePointer?], OpaquePointer?) -> Int32
  ) throws -> Int {
    let values = operation.values()
    var inputs: [OpaquePointer?] = []
    defer { for buffer in inputs { release(buffer) } }
    for list in values { inputs.append(try buffer(list.map(Float.init))) }
    let output = try buffer([Float](repeating: 0, count: count))
    defer { release(output) }
    let buffers = inputs
    let context = context
    func body() throws {
      try BlastBench.check(call(context, buffers, output))
      try BlastBench.check(esp_cl_finish(context))
    }
    try body()
    var found = [Float](repeating: 0, count: count)
    try BlastBench.check(esp_cl_read(context, output, 0, UInt64(4 * count), &found, 1))
    let expected = try Planning.$option.withValue(.reference) {
      try step { operation.function(try operation.tensors(values)) }[0].numbers()
    }
    let row = OperationRow(
      op: operation.stem + ", forward", variant: "CLBlast", device: "\(device)",
      shape: String(operation.name.dropFirst(operation.stem.count + 1)),
      flops: Double(operation.flops), bytes: Double(try operation.byteCount()),
      error: relativeError(found.map(Double.init), expected), bound: 1e-4)
    return try OperationBench.time([row], [body], report, nil)
  }

  private func buffer(_ values: [Float]) throws -> OpaquePointer? {
    var text = [CChar](repeating: 0, count: 512)
    var result: OpaquePointer?
    let bytes = UInt64(4 * values.count)
    guard esp_cl_buffer_create(context, bytes, &result, &text, text.count) == 0 else {
      throw CheckError(message: "\(device): \(BlastBench.string(text))")
    }
    try BlastBench.check(esp_cl_write(context, result, 0, bytes, values, 1))
    return result
  }

  private func release(_ buffer: OpaquePointer?) {
    if let buffer { esp_cl_buffer_release(context, buffer) }
  }

  private static func check(_ status: Int32) throws {
    guard status == 0 else {
      let name = esp_cl_status_name(status).map { String(cString: $0) } ?? "\(status)"
      throw CheckError(message: "CLBlast: \(name)")
    }
  }

  private static func string(_ text: [CChar]) -> String {
    String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
