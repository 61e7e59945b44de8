import CKernels

/// Elementwise choice between two tensors under broadcasting.
struct Select: Operation {
  static let stem = "select"

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let (c, a, b) = (operands[0], operands[1], operands[2])
    precondition(c.dtype == .bool, "which: condition is \(c), needs bool")
    precondition(a.dtype == b.dtype, "which: \(a) and \(b) differ in type")
    guard let ab = a.shape.broadcast(with: b.shape), let shape = ab.broadcast(with: c.shape) else {
      preconditionFailure("which: shapes \(c.shape), \(a.shape) and \(b.shape) do not broadcast")
    }
    return [TensorType(shape, a.dtype, a.layout)]
  }
  func requiredLayout(at index: Int) -> LayoutRequirement { .same }
  func isDifferentiable(at index: Int) -> Bool { index > 0 }

  func emit(into builder: inout LaunchBuilder) {
    var view = builder.elementwiseView()
    view.collapse()
    var row = esp_select_row()
    row.size = view.size
    row.stride_c = view.stride(0)
    row.stride_a = view.stride(1)
    row.stride_b = view.stride(2)
    row.stride_y = view.stride(3)
    let type = builder.resultTypes[0]
    builder.emit(
      .select, type.dtype,
      [builder.operand(0), builder.operand(1), builder.operand(2), builder.result()], row: row,
      openCL: .items(elementwiseItems(type.shape.count)))
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let c = context.operands[0]
    let dy = context.dy
    let zero = dy.zerosLike()
    return [
      nil,
      context.isWanted[1] ? sum(which(c, dy, zero), to: context.operands[1].shape) : nil,
      context.isWanted[2] ? sum(which(c, zero, dy), to: context.operands[2].shape) : nil,
    ]
  }
}

extension Kernel {
  static let select = Kernel("select", esp_select_f32, esp_select_f64, int32: esp_select_i32)
}

/// `a` where `condition` is true, else `b`, under broadcasting.
public func which(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
  record(Select(), condition, a, b)
}
