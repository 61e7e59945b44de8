/// A metric added up over samples, in double precision.
///
/// A hit or a miss is exactly 1 or 0, and so is their number: the mean over n samples is the quotient
/// of two whole numbers, not a sum of rounded means.
struct MetricSum {
  /// The sum over the samples.
  var total = 0.0
  /// Number of samples.
  var count = 0

  /// The mean; 0 of nothing.
  var mean: Double { total / Double(max(count, 1)) }

  /// Of nothing.
  init() {}

  /// Of a sum that was saved.
  init(total: Double, count: Int) { (self.total, self.count) = (total, count) }

  /// Of a batch; reads its values.
  ///
  /// - Parameters:
  ///   - metric: What `Objective.metrics` gives: the mean as one element, or one element a sample.
  ///   - samples: Number of samples in the batch; nil where they only share a mean.
  init(_ metric: Tensor, samples: Int? = nil) throws(DeviceError) {
    let elements = metric.shape.count
    count = samples ?? elements
    precondition(
      elements == 1 || elements == count,
      "a metric of \(count) samples has shape \(metric.shape), not one element or one a sample")
    if elements == 1 {
      total = try metric.item() * Double(count)
    } else {
      total = try (metric.scalars() as [Float]).reduce(0) { $0 + Double($1) }
    }
  }

  static func += (sum: inout MetricSum, other: MetricSum) {
    sum.total += other.total
    sum.count += other.count
  }
}
