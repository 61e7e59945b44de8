import CKernels

/// Sizes and steps of a 2-D convolution.
struct ConvolutionGeometry: Hashable, Sendable {
  var strideH: Int
  var strideW: Int
  var padH: Int
  var padW: Int
  var dilationH: Int
  var dilationW: Int
  var groups: Int

  /// The size after the convolution along one axis.
  static func output(_ size: Int, _ kernel: Int, _ stride: Int, _ pad: Int, _ dilation: Int) -> Int
  {
    let room = size + 2 * pad - dilation * (kernel - 1) - 1
    return room < 0 ? 0 : room / stride + 1
  }
}

extension ConvolutionGeometry {
  enum Direction {
    case forward, backwardInput, backwardWeight

    /// What the kernel's name ends with.
    var suffix: String {
      switch self {
      case .forward: ""
      case .backwardInput: "_backward_input"
      case .backwardWeight: "_backward_weight"
      }
    }
  }

  func row(_ x: Shape, _ w: Shape, _ y: Shape) -> esp_conv2d_row {
    var row = esp_conv2d_row()
    (row.n, row.c, row.h, row.w) = (Int32(x[0]), Int32(x[1]), Int32(x[2]), Int32(x[3]))
    (row.k, row.r, row.s) = (Int32(w[0]), Int32(w[2]), Int32(w[3]))
    (row.oh, row.ow) = (Int32(y[2]), Int32(y[3]))
    (row.stride_h, row.stride_w) = (Int32(strideH), Int32(strideW))
    (row.pad_h, row.pad_w) = (Int32(padH), Int32(padW))
    (row.dilation_h, row.dilation_w) = (Int32(dilationH), Int32(dilationW))
    row.groups = Int32(groups)
    return row
  }

  /// The OpenCL kernel for a direction: depthwise with kernel size, dilation and stride in its name
  /// where one was made for them, pointwise, else dense; and its work-items.
  func openCLCall(_ direction: Direction, _ x: Shape, _ w: Shape, _ y: Shape) -> OpenCLCall {
    let (n, c, k, r, s) = (x[0], x[1], w[0], w[2], w[3])
    let parts = min(n, Int(ESP_WEIGHT_GROUPS))
    let call: OpenCLCall
    if groups == c && k == c {
      let isSquare = r == s && strideH == strideW && dilationH == dilationW
      let isMade = isSquare && [3, 5].contains(r) && strideH <= 2 && dilationH <= 2
      let name = "esp_depthwise_conv2d\(direction.suffix)"
      let rows =
        switch direction {
        case .forward: n * y[2]
        case .backwardInput: n * x[2]
        case .backwardWeight: parts * r
        }
      call = .kernel(
        isMade ? "\(name)_k\(r)_d\(dilationH)_s\(strideH)" : name,
        items: rows * vectors(c))
    } else if isPointwise(w) && direction != .backwardWeight {
      call = .kernel(
        "esp_pointwise_conv2d\(direction.suffix)",
        items: (n * x[2] * x[3] + 127) / 128 * vectors(direction == .forward ? k : c))
    } else {
      let (inputs, outputs) = (c / groups, (k / groups + 31) / 32)
      switch direction {
      case .forward: call = .items(n * y[2] * groups * outputs)
      case .backwardInput: call = .items(n * ((x[2] + 7) / 8) * groups * vectors(inputs))
      case .backwardWeight: call = .items(parts * r * s * groups * ((inputs + 7) / 8) * outputs)
      }
    }
    guard direction == .backwardWeight else { return call }
    return call.then("esp_conv2d_backward_weight_merge", items: elementwiseItems(w.count))
  }

  private func isPointwise(_ w: Shape) -> Bool {
    w[2] == 1 && w[3] == 1 && groups == 1 && strideH == 1 && strideW == 1 && padH == 0 && padW == 0
  }
}
