import CKernels
import OperationCases

/// The calls that a step on CIFAR-10 consists of, at batch 16.
enum KernelCases {
  /// Channels and size of the three stages of a DARTS network with 16 channels.
  private static let stages = [(channels: 16, size: 32), (32, 16), (64, 8)]

  static func all() -> [KernelCase] {
    var list: [KernelCase] = []
    for shape in convolutions {
      for direction in ConvolutionShape.Direction.allCases {
        list.append(shape.kernelCase(direction))
      }
    }
    for (m, n, k) in products { list.append(product(m, n, k)) }
    for (channels, size) in stages {
      list += pools(channels, size)
      list += batchNorms(channels, size)
    }
    list.append(reduction(256, 64, 64))
    list.append(reduction(1, 16 * 32 * 32, 64))
    return list
  }

  private static var convolutions: [ConvolutionShape] {
    var list: [ConvolutionShape] = []
    for (channels, size) in stages {
      for (kernel, dilation) in [(3, 1), (5, 1), (3, 2), (5, 2)] {
        list.append(depthwise(channels, size, kernel, 1, dilation))
      }
    }
    for (channels, size, dilation) in [(32, 32, 1), (32, 32, 2), (64, 16, 2)] {
      list += [3, 5].map { depthwise(channels, size, $0, 2, dilation) }
    }
    for (channels, size) in stages {
      list.append(ConvolutionShape(channels: channels, outputs: channels, size: size, kernel: 1))
    }
    for (channels, size) in stages {
      list.append(
        ConvolutionShape(channels: 4 * channels, outputs: channels, size: size, kernel: 1))
    }
    list.append(ConvolutionShape(channels: 3, outputs: 48, size: 32, kernel: 3))
    for (channels, size) in stages {
      list.append(ConvolutionShape(channels: channels, outputs: channels, size: size, kernel: 3))
    }
    return list
  }

  private static func depthwise(
    _ channels: Int, _ size: Int, _ kernel: Int, _ stride: Int, _ dilation: Int
  ) -> ConvolutionShape {
    ConvolutionShape(
      channels: channels, outputs: channels, size: size, kernel: kernel, stride: stride,
      dilation: dilation, groups: channels)
  }

  private static let products = [(16, 10, 256), (256, 256, 256), (512, 512, 512), (2048, 64, 576)]

  private static func product(_ m: Int, _ n: Int, _ k: Int) -> KernelCase {
    var row = esp_matmul_row()
    (row.batch, row.m, row.n, row.k) = (1, Int32(m), Int32(n), Int32(k))
    (row.lda, row.ldb, row.ldy) = (Int32(k), Int32(n), Int32(n))
    (row.batch_a, row.batch_b, row.batch_y) = (Int32(m * k), Int32(k * n), Int32(m * n))
    let flops = 2 * Double(m * n * k)
    return KernelCase(
      op: "matmul", variant: "forward", shape: "\(m)x\(k) . \(k)x\(n)", flops: flops,
      nominalFlops: flops, float32: esp_matmul_f32, float64: esp_matmul_f64,
      row: KernelCase.bytes(row),
      operands: [.input(m * k, stride: k), .input(k * n, stride: n), .output(m * n, stride: n)],
      rival: .product(m: m, n: n, k: k))
  }

  private static func memoryBound(
    _ op: String, _ variant: String, _ shape: String, _ flops: Int, _ float32: @escaping esp_kernel,
    _ float64: @escaping esp_kernel, _ row: [UInt8], _ operands: [KernelOperand],
    _ scalars: [Float] = []
  ) -> KernelCase {
    KernelCase(
      op: op, variant: variant, shape: shape, flops: Double(flops), nominalFlops: Double(flops),
      float32: float32, float64: float64, row: row, scalars: scalars, operands: operands,
      isMemoryBound: true)
  }

  /// 3x3 pools of stride 1 and padding 1, forward and backward.
  private static func pools(_ c: Int, _ size: Int) -> [KernelCase] {
    let n = 16
    let count = n * size * size * c
    let shape = "\(n)x\(size)x\(size)x\(c) 3x3 s1"
    var maximum = esp_max_pool2d_row()
    (maximum.n, maximum.h, maximum.w, maximum.c) = (Int32(n), Int32(size), Int32(size), Int32(c))
    (maximum.oh, maximum.ow, maximum.r, maximum.s) = (Int32(size), Int32(size), 3, 3)
    (maximum.stride_h, maximum.stride_w, maximum.pad_h, maximum.pad_w) = (1, 1, 1, 1)
    var average = esp_avg_pool2d_row()
    (average.n, average.h, average.w, average.c) = (maximum.n, maximum.h, maximum.w, maximum.c)
    (average.oh, average.ow, average.r, average.s) = (maximum.oh, maximum.ow, 3, 3)
    (average.stride_h, average.stride_w, average.pad_h, average.pad_w) = (1, 1, 1, 1)
    let (x, y) = (KernelOperand.input(count, stride: c), KernelOperand.output(count, stride: c))
    let indices = KernelOperand(
      content: .bytes(winners(n, size, c)), count: count, stride: c)
    let found = KernelOperand(
      content: .bytes([UInt8](repeating: 0, count: count)), count: count, stride: c)
    let (rowMax, rowAverage) = (KernelCase.bytes(maximum), KernelCase.bytes(average))
    return [
      memoryBound(
        "max_pool2d", "forward", shape, 9 * count, esp_max_pool2d_f32, esp_max_pool2d_f64, rowMax,
        [x, y, found]),
      memoryBound(
        "max_pool2d", "backward", shape, 9 * count, esp_max_pool2d_backward_f32,
        esp_max_pool2d_backward_f64, rowMax, [x, indices, y]),
      memoryBound(
        "avg_pool2d", "forward", shape, 9 * count, esp_avg_pool2d_f32, esp_avg_pool2d_f64,
        rowAverage, [x, y]),
      memoryBound(
        "avg_pool2d", "backward", shape, 9 * count, esp_avg_pool2d_backward_f32,
        esp_avg_pool2d_backward_f64, rowAverage, [x, y]),
    ]
  }

  /// A random tap inside the image for each window.
  private static func winners(_ n: Int, _ size: Int, _ c: Int) -> [UInt8] {
    var generator = CaseGenerator(name: "winners", seed: 0)
    var result: [UInt8] = []
    result.reserveCapacity(n * size * size * c)
    for _ in 0..<n {
      for row in 0..<size {
        for column in 0..<size {
          for _ in 0..<c {
            var tap = 0
            repeat {
              tap = generator.below(9)
            } while !(0..<size).contains(row - 1 + tap / 3)
              || !(0..<size).contains(column - 1 + tap % 3)
            result.append(UInt8(tap))
          }
        }
      }
    }
    return result
  }

  /// The four calls of a batch norm, forward and backward.
  private static func batchNorms(_ c: Int, _ size: Int) -> [KernelCase] {
    let (n, pixels) = (16, size * size)
    let count = n * pixels * c
    let shape = "\(n)x\(size)x\(size)x\(c)"
    let image = KernelOperand.input(count, stride: c)
    let mean = KernelOperand.input(c, stride: c)
    let variance = KernelOperand.input(c, stride: c, 0.5, 2)
    let space = KernelOperand(content: .doubleWorkspace, count: 2 * n * c)
    let sizes = (Int32(n), Int32(pixels), Int32(c))
    var moments = esp_channel_moments_row()
    (moments.images, moments.pixels, moments.channels) = sizes
    var normalize = esp_normalize_row()
    (normalize.images, normalize.pixels, normalize.channels) = sizes
    var sums = esp_batch_norm_sums_row()
    (sums.images, sums.pixels, sums.channels) = sizes
    var backward = esp_batch_norm_backward_row()
    (backward.images, backward.pixels, backward.channels) = sizes
    return [
      memoryBound(
        "batch_norm", "forward, moments", shape, 4 * count, esp_channel_moments_f32,
        esp_channel_moments_f64, KernelCase.bytes(moments),
        [image, .output(c, stride: c), .output(c, stride: c), space]),
      memoryBound(
        "batch_norm", "forward, normalize", shape, 2 * count, esp_normalize_f32, esp_normalize_f64,
        KernelCase.bytes(normalize),
        [image, mean, variance, .absent, .absent, .output(count, stride: c)], [1e-5]),
      memoryBound(
        "batch_norm", "backward, sums", shape, 5 * count, esp_batch_norm_sums_f32,
        esp_batch_norm_sums_f64, KernelCase.bytes(sums),
        [image, image, mean, variance, .output(2 * c, stride: c), space], [1e-5]),
      memoryBound(
        "batch_norm", "backward, input", shape, 5 * count, esp_batch_norm_backward_f32,
        esp_batch_norm_backward_f64, KernelCase.bytes(backward),
        [
          image, image, mean, variance, .absent, .input(2 * c, stride: c),
          .output(count, stride: c),
        ], [1e-5]),
    ]
  }

  /// Sums over the middle of `[outer, middle, inner]`.
  private static func reduction(_ outer: Int, _ middle: Int, _ inner: Int) -> KernelCase {
    var row = esp_reduce_row()
    row.kind = Int32(ESP_SUM.rawValue)
    row.kept = (1, 1, Int32(outer), Int32(inner))
    row.kept_stride = (0, 0, Int32(middle * inner), 1)
    row.reduced = (1, 1, 1, Int32(middle))
    row.reduced_stride = (0, 0, 0, Int32(inner))
    let count = outer * middle * inner
    return memoryBound(
      "reduce", "sum", "\(outer)x[\(middle)]x\(inner)", count, esp_reduce_f32, esp_reduce_f64,
      KernelCase.bytes(row),
      [.input(count, stride: inner), .output(outer * inner, stride: inner)])
  }
}
