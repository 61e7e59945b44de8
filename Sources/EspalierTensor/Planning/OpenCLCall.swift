/// How an OpenCL device runs a call: kernels one after the other, over the same operands and rows.
public struct OpenCLCall: Sendable {
  struct Step: Sendable {
    /// Nil until resolved: the call's own kernel in the form for its element type.
    var kernel: String?
    /// Work-items a row, as the comment above the kernel counts them.
    var items: Int
  }

  private(set) var steps: [Step]
  /// Whether the rows are `esp_matmul_row`, which CLBlast computes too.
  private(set) var isMatrixProduct = false

  /// The call's own kernel.
  static func items(_ count: Int) -> OpenCLCall {
    OpenCLCall(steps: [Step(kernel: nil, items: count)])
  }

  /// The call's own kernel, or CLBlast where the device does better with it.
  static func matrixProduct(items count: Int) -> OpenCLCall {
    OpenCLCall(steps: [Step(kernel: nil, items: count)], isMatrixProduct: true)
  }

  /// A variant of the call's kernel.
  static func kernel(_ name: String, items: Int) -> OpenCLCall {
    OpenCLCall(steps: [Step(kernel: name, items: items)])
  }

  /// The same, followed by another kernel.
  func then(_ kernel: String, items: Int) -> OpenCLCall {
    OpenCLCall(steps: steps + [Step(kernel: kernel, items: items)])
  }

  /// The kernels' names, once resolved.
  var kernels: [String] { steps.compactMap(\.kernel) }

  /// For rows of both calls, of the same kernels: as many items as the larger row needs.
  func covering(_ other: OpenCLCall) -> OpenCLCall {
    var call = self
    call.steps = zip(steps, other.steps).map {
      Step(kernel: $0.kernel, items: max($0.items, $1.items))
    }
    return call
  }

  /// With every name filled in; nil where the device has no kernel for the element type.
  func resolved(for kernel: Kernel, _ dtype: DType) -> OpenCLCall? {
    guard let own = kernel.openCLName(dtype) else { return nil }
    var call = self
    call.steps = steps.map { Step(kernel: $0.kernel ?? own, items: $0.items) }
    return call
  }
}
