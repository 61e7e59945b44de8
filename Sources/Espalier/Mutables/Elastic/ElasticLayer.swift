/// A layer whose tensors are cut to what was chosen.
protocol ElasticLayer: Module {
  /// Keeps the elements that the applied choices leave; the supernet's checkpoint still fits.
  func cut() throws(DeviceError)
  /// Number of parameters that are left where sizes are known.
  func parameterCount(_ size: (LayerSize) -> Int) -> Int
}

/// While it is in force elastic layers run at the decided sizes, not masked at the largest.
///
/// Costs are recorded so. Decisions must be of one candidate each.
final class NarrowRun {
  /// Whether one is in force on this thread.
  static var isCurrent: Bool { ThreadState.current.object(NarrowRun.self) != nil }
}

extension Tensor {
  /// What is kept of each axis.
  func slice(_ ranges: [Range<Int>]) -> Tensor {
    slice(starts: ranges.map(\.lowerBound), sizes: ranges.map(\.count))
  }
}
