/// Channels seen as a matrix of `groups` rows, and read column by column (ShuffleNet,
/// arXiv:1707.01083).
///
/// Operands are equal parts of the channels, one after another, of whole rows; results are equal
/// parts of the shuffled ones, of whole columns. So a block that shuffles and then splits, and one
/// that joins and then shuffles back, move each element once. Its gradient is the inverse shuffle.
struct ChannelShuffle: Operation {
  static let stem = "channel_shuffle"
  static let readsPixelStride = true
  static let writesPixelStride = true
  let groups: Int
  let parts: Int

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let part = operands[0]
    let channels = part.shape.rank == 4 ? part.shape[1] * operands.count : 0
    precondition(
      part.shape.rank == 4 && operands.allSatisfy { $0 == part } && channels % groups == 0
        && groups % operands.count == 0 && (channels / groups) % parts == 0,
      "channelShuffle: \(operands.count) × \(part) with \(groups) groups into \(parts) parts")
    var shape = part.shape
    shape[1] = channels / parts
    return [TensorType](repeating: TensorType(shape, part.dtype), count: parts)
  }

  func emit(into builder: inout LaunchBuilder) {
    let shape = builder.operandTypes[0].shape
    let (rows, columns) = (groups, shape[1] * builder.operandTypes.count / groups)
    let (rowsRead, columnsWritten) = (rows / builder.operandTypes.count, columns / parts)
    for (part, type) in builder.resultTypes.enumerated() {
      let to = type.strides(pixel: builder.resultStrides[part])
      for source in builder.operandTypes.indices {
        let from = builder.strides(ofOperand: source)
        builder.emitCopy(
          builder.operand(source), builder.result(part),
          sizes: [shape[0], shape[2], shape[3], columnsWritten, rowsRead],
          from: [from[0], from[2], from[3], 1, columns], to: [to[0], to[2], to[3], rows, 1],
          dtype: type.dtype, fromOffset: part * columnsWritten, toOffset: source * rowsRead)
      }
    }
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    let channels = context.operands[0].shape[1] * context.operands.count
    let upstream = zip(context.upstream, context.results).map { $0 ?? $1.zerosLike() }
    return recordAll(
      ChannelShuffle(groups: channels / groups, parts: context.operands.count), upstream)
  }
}

/// The channels of `[N, C, H, W]` dealt out: channel `i` of group `g` becomes channel
/// `i · groups + g`.
///
/// - Parameters:
///   - x: Groups of `C / groups` channels, one after another.
///   - groups: A divisor of `C`.
/// - Returns: The shape stays.
public func channelShuffle(_ x: Tensor, groups: Int) -> Tensor {
  channelShuffle(x, groups: groups, parts: 1)[0]
}

/// The shuffled channels in equal parts.
///
/// - Parameters:
///   - x: Groups of `C / groups` channels, one after another.
///   - groups: A divisor of `C`.
///   - parts: A divisor of `C / groups`.
/// - Returns: As many tensors `[N, C / parts, H, W]`.
public func channelShuffle(_ x: Tensor, groups: Int, parts: Int) -> [Tensor] {
  recordAll(ChannelShuffle(groups: groups, parts: parts), [x])
}
