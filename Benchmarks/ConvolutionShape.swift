import CKernels

/// Sizes of a convolution, square in everything.
struct ConvolutionShape {
  enum Direction: String, CaseIterable {
    case forward
    case backwardInput = "backward input"
    case backwardWeight = "backward weight"
  }

  var images = 16
  var channels: Int
  var outputs: Int
  /// Height and width of the input.
  var size: Int
  var kernel: Int
  var stride = 1
  var dilation = 1
  var groups = 1

  var padding: Int { dilation * (kernel / 2) }
  var outputSize: Int { (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1 }
  var inputCount: Int { images * size * size * channels }
  var outputCount: Int { images * outputSize * outputSize * outputs }
  var weightCount: Int { kernel * kernel * (channels / groups) * outputs }
  var isDepthwise: Bool { groups == channels && groups > 1 }

  /// `depthwise`, `pointwise` or `dense`.
  var kind: String { isDepthwise ? "depthwise" : kernel == 1 ? "pointwise" : "dense" }

  /// `16x32x32x16 3x3 s1 d2`, with `-> K` where the channels change.
  var text: String {
    "\(images)x\(size)x\(size)x\(channels)\(outputs == channels ? "" : "->\(outputs)") "
      + "\(kernel)x\(kernel) s\(stride) d\(dilation)"
  }

  /// Of one direction, every tap counted.
  var nominalFlops: Double {
    2 * Double(outputCount) * Double(kernel * kernel * (channels / groups))
  }

  /// Of one direction, without taps on padding.
  var flops: Double {
    let taps = (0..<outputSize).reduce(0) { sum, out in
      sum
        + (0..<kernel).count { (0..<size).contains(out * stride - padding + $0 * dilation) }
    }
    return 2 * Double(images * outputs * (channels / groups)) * Double(taps * taps)
  }

  private func row() -> esp_conv2d_row {
    var row = esp_conv2d_row()
    (row.n, row.h, row.w, row.c) = (Int32(images), Int32(size), Int32(size), Int32(channels))
    (row.k, row.r, row.s) = (Int32(outputs), Int32(kernel), Int32(kernel))
    (row.oh, row.ow) = (Int32(outputSize), Int32(outputSize))
    (row.stride_h, row.stride_w) = (Int32(stride), Int32(stride))
    (row.pad_h, row.pad_w) = (Int32(padding), Int32(padding))
    (row.dilation_h, row.dilation_w) = (Int32(dilation), Int32(dilation))
    row.groups = Int32(groups)
    return row
  }

  /// The kernel call of a direction.
  func kernelCase(_ direction: Direction) -> KernelCase {
    let x = KernelOperand.input(inputCount, stride: channels)
    let w = KernelOperand.input(weightCount, stride: outputs)
    let dy = KernelOperand.input(outputCount, stride: outputs)
    var result = KernelCase(
      op: "conv2d \(kind)", variant: direction.rawValue, shape: text, flops: flops,
      nominalFlops: nominalFlops, float32: esp_conv2d_f32, float64: esp_conv2d_f64,
      row: KernelCase.bytes(row()), operands: [], rival: .convolution(self, direction))
    switch direction {
    case .forward:
      result.operands = [x, w, .output(outputCount, stride: outputs)]
    case .backwardInput:
      result.float32 = esp_conv2d_backward_input_f32
      result.float64 = esp_conv2d_backward_input_f64
      result.operands = [dy, w, .output(inputCount, stride: channels)]
    case .backwardWeight:
      result.float32 = esp_conv2d_backward_weight_f32
      result.float64 = esp_conv2d_backward_weight_f64
      // One operand more, then the same sizes.
      let plain = KernelCase.bytes(row())
      result.row = [UInt8](repeating: 0, count: 4 * 12) + plain[(3 * 12)...]
      let parts = min(images, Int(ESP_WEIGHT_GROUPS))
      result.operands = [
        x, dy, .output(weightCount, stride: outputs),
        KernelOperand(content: .workspace, count: parts * weightCount),
      ]
    }
    return result
  }
}
