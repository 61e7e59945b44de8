import CKernels

/// Consecutive groups of a batch that batch norm normalises apart from each other.
struct GhostGroups: Hashable, Sendable {
  /// Images in a group; the last one has what is left.
  let size: Int

  /// The first image and the number of images of each group.
  func ranges(_ images: Int) -> [Range<Int>] {
    stride(from: 0, to: images, by: size).map { $0..<min($0 + size, images) }
  }

  /// The type of `rows` numbers a channel for each group.
  func type(_ x: TensorType, rows: [Int] = []) -> TensorType {
    TensorType(Shape([ranges(x.shape[0]).count] + rows + [x.shape[1]]), x.dtype)
  }

  /// What `formula` gives for each group of x and dy.
  func map(
    _ x: Tensor, _ dy: Tensor, _ formula: (_ x: Tensor, _ dy: Tensor) -> Tensor
  ) -> [Tensor] {
    ranges(x.shape[0]).map { formula(x.slice($0, axis: 0), dy.slice($0, axis: 0)) }
  }
}

extension Operand {
  /// The operand from one element of it on.
  fileprivate func from(_ element: Int) -> Operand {
    var operand = self
    operand.elementOffset = element
    return operand
  }
}

extension LaunchBuilder {
  /// The rows of one kernel call, one a group.
  ///
  /// - Parameters:
  ///   - openCL: How a group of so many images runs.
  ///   - make: A row's operands and fields from the number of its group and its images.
  fileprivate mutating func emitGroups<Row>(
    _ kernel: Kernel, _ groups: GhostGroups, scalars: [Scalar] = [],
    openCL: (_ group: TensorType) -> OpenCLCall,
    _ make: (_ group: Int, _ images: Range<Int>) -> (operands: [Operand], row: Row)
  ) {
    let type = operandTypes[0]
    var first = type.shape
    first[0] = min(groups.size, first[0])
    emitRows(
      kernel, type.dtype,
      groups.ranges(type.shape[0]).enumerated().map { group, images in
        let (operands, row) = make(group, images)
        return (operands, scalars, row)
      }, openCL: openCL(TensorType(first, type.dtype)))
  }

  /// An image of operand `index` or, where nil, of the result.
  fileprivate func image(_ number: Int, of index: Int? = nil) -> Operand {
    let operand = index.map { self.operand($0) } ?? result()
    return operand.from(number * Int(operandTypes[0].imageSizes.1) * Int(operand.stride))
  }
}

/// Mean and biased variance of each channel over each group: `[N, C, H, W]` → two `[groups, C]`.
struct GhostMoments: Operation {
  static let stem = "batch_norm"
  static let readsPixelStride = true
  let groups: GhostGroups

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let shape = operands[0].shape
    precondition(
      (shape.rank == 4 || shape.rank == 2) && shape.count > 0,
      "ghostBatchNorm: \(shape), needs [N, C, H, W] or [N, C]")
    return [groups.type(operands[0]), groups.type(operands[0])]
  }
  // The normalisation knows that they depend on x.
  func isDifferentiable(at index: Int) -> Bool { false }

  func emit(into builder: inout LaunchBuilder) {
    let (images, pixels, channels) = builder.operandTypes[0].imageSizes
    let c = Int(channels)
    let workspace = builder.workspace(2 * Int(images) * c, .float64)
    let (mean, variance) = (builder.result(0), builder.result(1))
    builder.emitGroups(
      .channelMoments, groups,
      openCL: {
        .items($0.shape[0] * $0.channelVectors)
          .then("esp_channel_moments_merge", items: $0.channelVectors)
      }
    ) { [builder] group, range in
      var row = esp_channel_moments_row()
      (row.images, row.pixels, row.channels) = (Int32(range.count), pixels, channels)
      return (
        [
          builder.image(range.lowerBound, of: 0), mean.from(group * c), variance.from(group * c),
          workspace.from(2 * range.lowerBound * c),
        ], row
      )
    }
  }

  func gradient(_ context: GradientContext) -> [Tensor?] { [nil] }
}

/// `(x − mean)·rsqrt(variance + ε)·γ + β` by each group's moments.
///
/// Operands: x, mean and variance `[groups, C]`, then γ and β if affine.
struct GhostNormalize: Operation {
  static let stem = "batch_norm"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let groups: GhostGroups
  let isAffine: Bool
  let epsilon: Float

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }
  func isDifferentiable(at index: Int) -> Bool { index != 1 && index != 2 }

  func emit(into builder: inout LaunchBuilder) {
    let (_, pixels, channels) = builder.operandTypes[0].imageSizes
    builder.emitGroups(
      .normalize, groups, scalars: [Scalar(epsilon)], openCL: { .items($0.normalizingItems) }
    ) { [builder] group, range in
      var row = esp_normalize_row()
      (row.images, row.pixels, row.channels) = (Int32(range.count), pixels, channels)
      let first = group * Int(channels)
      return (
        [
          builder.image(range.lowerBound, of: 0), builder.operand(1).from(first),
          builder.operand(2).from(first), isAffine ? builder.operand(3) : .absent,
          isAffine ? builder.operand(4) : .absent, builder.image(range.lowerBound),
        ], row
      )
    }
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let inputs = Array(context.operands[..<3])
    let dy = context.dy
    var gradients: [Tensor?] = context.operands.map { _ in nil }
    let sums = recordAll(
      GhostSums(groups: groups, epsilon: epsilon), [inputs[0], dy, inputs[1], inputs[2]])[0]
    if context.isWanted[0] {
      gradients[0] =
        recordAll(
          GhostBackward(groups: groups, isAffine: isAffine, epsilon: epsilon),
          [inputs[0], dy, inputs[1], inputs[2], sums] + (isAffine ? [context.operands[3]] : []))[0]
    }
    if isAffine {
      for (operand, row) in [(3, 1), (4, 0)] where context.isWanted[operand] {
        gradients[operand] = sums.slice(row..<row + 1, axis: 1).sum(axes: [0, 1])
      }
    }
    return gradients
  }
}

/// `[groups, 2, C]`: Σ dy and Σ dy·x̂ of each group.
///
/// Operands: x, dy, mean, variance.
struct GhostSums: Operation {
  static let stem = "batch_norm"
  static let readsPixelStride = true
  let groups: GhostGroups
  let epsilon: Float

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    [groups.type(operands[0], rows: [2])]
  }
  func isDifferentiable(at index: Int) -> Bool { index < 2 }

  func emit(into builder: inout LaunchBuilder) {
    let (images, pixels, channels) = builder.operandTypes[0].imageSizes
    let c = Int(channels)
    let workspace = builder.workspace(2 * Int(images) * c, .float64)
    builder.emitGroups(
      .batchNormSums, groups, scalars: [Scalar(epsilon)],
      openCL: {
        .items($0.shape[0] * $0.channelVectors)
          .then("esp_batch_norm_sums_merge", items: vectors(2 * $0.shape[1]))
      }
    ) { [builder] group, range in
      var row = esp_batch_norm_sums_row()
      (row.images, row.pixels, row.channels) = (Int32(range.count), pixels, channels)
      return (
        [
          builder.image(range.lowerBound, of: 0), builder.image(range.lowerBound, of: 1),
          builder.operand(2).from(group * c), builder.operand(3).from(group * c),
          builder.result().from(2 * group * c), workspace.from(2 * range.lowerBound * c),
        ], row
      )
    }
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    secondOrder(context) { x, dy, _ in
      stack(groups.map(x, dy) { BatchNormSums.formula($0, $1, Scalar(epsilon)) })
    }
  }
}

/// dx of each group.
///
/// Operands: x, dy, mean, variance, sums, then γ if affine.
struct GhostBackward: Operation {
  static let stem = "batch_norm"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let groups: GhostGroups
  let isAffine: Bool
  let epsilon: Float

  func resultTypes(_ operands: [TensorType]) -> [TensorType] { [operands[0]] }
  func isDifferentiable(at index: Int) -> Bool { index < 2 || index == 5 }

  func emit(into builder: inout LaunchBuilder) {
    let (_, pixels, channels) = builder.operandTypes[0].imageSizes
    let c = Int(channels)
    builder.emitGroups(
      .batchNormBackward, groups, scalars: [Scalar(epsilon)],
      openCL: { .items($0.normalizingItems) }
    ) { [builder] group, range in
      var row = esp_batch_norm_backward_row()
      (row.images, row.pixels, row.channels) = (Int32(range.count), pixels, channels)
      return (
        [
          builder.image(range.lowerBound, of: 0), builder.image(range.lowerBound, of: 1),
          builder.operand(2).from(group * c), builder.operand(3).from(group * c),
          isAffine ? builder.operand(5) : .absent, builder.operand(4).from(2 * group * c),
          builder.image(range.lowerBound),
        ], row
      )
    }
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    secondOrder(context, gamma: isAffine ? 5 : nil) { x, dy, gamma in
      concatenate(
        groups.map(x, dy) { BatchNormBackward.formula($0, $1, gamma, Scalar(epsilon)) }, axis: 0)
    }
  }
}

/// Batch normalisation by the moments of groups of the batch: ghost batches (arXiv:1705.08741).
///
/// The batch is cut, in order, into the fewest groups of at most `groupSize` images and of equal
/// size, but for the last. Running statistics move once a group.
/// - Parameters:
///   - x: `[N, C, H, W]` or `[N, C]`.
///   - groupSize: Images of a group at most.
///   - gamma: Scale `[C]`, or nil for 1.
///   - beta: Shift `[C]`, or nil for 0.
///   - running: Running mean and variance to move by `momentum` towards each group's.
/// - Returns: The shape of `x`.
public func ghostBatchNorm(
  _ x: Tensor, groupSize: Int, gamma: Tensor? = nil, beta: Tensor? = nil,
  running: (mean: Variable, variance: Variable)? = nil, shares: Tensor? = nil,
  momentum: Float = 0.1, epsilon: Float = 1e-5
) -> Tensor {
  precondition(groupSize > 0, "ghostBatchNorm: groups of \(groupSize) images")
  precondition((gamma == nil) == (beta == nil), "ghostBatchNorm: gamma and beta come together")
  let images = x.shape[0]
  guard images > groupSize else {
    return batchNorm(
      x, gamma: gamma, beta: beta, running: running, shares: shares, momentum: momentum,
      epsilon: epsilon)
  }
  let count = (images + groupSize - 1) / groupSize
  let groups = GhostGroups(size: (images + count - 1) / count)
  let moments = recordAll(GhostMoments(groups: groups), [x])
  if let running {
    let pixels = x.rank == 4 ? x.shape[2] * x.shape[3] : 1
    for (group, range) in groups.ranges(images).enumerated() {
      move(
        running, towards: moments.map { $0.slice(group..<group + 1, axis: 0).reshaped(to: [-1]) },
        count: range.count * pixels, momentum: momentum, shares: shares)
    }
  }
  return recordAll(
    GhostNormalize(groups: groups, isAffine: gamma != nil, epsilon: epsilon),
    [x] + moments + (gamma.map { [$0] } ?? []) + (beta.map { [$0] } ?? []))[0]
}
