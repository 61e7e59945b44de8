/// Which elements of a larger tensor were kept: a range along each axis.
///
/// A parameter that was cut out of a supernet's remembers where, so that the supernet's checkpoint
/// still fits.
public struct TensorWindow: Equatable, Sendable {
  /// The larger tensor's sizes.
  public let shape: Shape
  /// What is kept of each axis.
  public let ranges: [Range<Int>]

  /// A window in a tensor of the given shape.
  /// - Precondition: There is a range for each axis, inside of it and not empty.
  public init(_ ranges: [Range<Int>], in shape: Shape) {
    precondition(
      ranges.count == shape.rank
        && zip(ranges, shape.dimensions).allSatisfy {
          !$0.isEmpty && $0.lowerBound >= 0 && $0.upperBound <= $1
        }, "window \(ranges) in \(shape)")
    self.shape = shape
    self.ranges = ranges
  }

  /// The sizes of what is kept.
  public var kept: Shape { Shape(ranges.map(\.count)) }

  /// What is kept of the larger tensor's elements, both in logical order.
  public func elements(of all: [Float]) -> [Float] {
    precondition(all.count == shape.count, "\(all.count) elements for \(shape)")
    var starts = [0]
    for (axis, range) in ranges.enumerated() {
      starts = starts.flatMap { start in range.map { start * shape[axis] + $0 } }
    }
    return starts.map { all[$0] }
  }
}
