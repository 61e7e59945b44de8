/// Channels of `groups` equal groups taken in turn (ShuffleNet, arXiv:1707.01083).
struct ChannelShuffle: Operation {
  static let stem = "channel_shuffle"
  let groups: Int

  func resultTypes(_ operands: [TensorType]) -> [TensorType] {
    let shape = operands[0].shape
    precondition(
      shape.rank == 4 && groups > 0 && shape[1] % groups == 0,
      "channelShuffle: \(groups) groups of the channels of \(shape)")
    return [operands[0]]
  }

  func emit(into builder: inout LaunchBuilder) {
    let type = builder.resultTypes[0]
    let channels = type.shape[1]
    let width = channels / groups
    // Images lie channels last: a pixel's channels are a small matrix that is transposed.
    builder.emitCopy(
      sizes: [type.shape.count / Swift.max(channels, 1), width, groups],
      from: [channels, 1, width],
      to: [channels, groups, 1], dtype: type.dtype)
  }

  func gradient(_ context: GradientContext) -> [Tensor?] {
    [record(ChannelShuffle(groups: context.dy.shape[1] / groups), context.dy)]
  }
}

/// Channel `g · C/groups + i` of `[N, C, H, W]` becomes channel `i · groups + g`.
///
/// - Precondition: `groups` divides the channels.
public func channelShuffle(_ x: Tensor, groups: Int) -> Tensor {
  record(ChannelShuffle(groups: groups), x)
}
