/// Divisions of a data set into views, lists of indices; always after a seeded shuffle, because
/// many data sets are ordered by class.
public enum DatasetSplit {
  /// All indices in the seeded order of this data set.
  public static func shuffled(count: Int, seed: UInt64) -> [Int] {
    var indices = Array(0..<count)
    var generator = Philox(seed: seed, purpose: .split)
    generator.shuffle(&indices)
    return indices
  }

  /// The first samples after the seeded shuffle: what `--set images=N` trains on.
  ///
  /// - Parameters:
  ///   - images: How many; more than there are means all.
  ///   - count: The size of the data set.
  ///   - seed: The user's seed.
  public static func first(_ images: Int, of count: Int, seed: UInt64) -> [Int] {
    Array(shuffled(count: count, seed: seed).prefix(max(0, images)))
  }

  /// Two parts without a common sample: one trains the weights, the other selects.
  ///
  /// - Parameters:
  ///   - count: The size of the data set.
  ///   - portion: The share of the first part, 0 to 1; rounded to whole samples, and neither part
  ///     is empty while the share is between the two and there are two samples.
  ///   - seed: The user's seed.
  ///   - images: Use only the first so many after the shuffle.
  public static func halves(
    count: Int, portion: Double, seed: UInt64, images: Int = .max
  ) -> (first: [Int], second: [Int]) {
    precondition((0...1).contains(portion), "DatasetSplit.halves(portion: \(portion))")
    let indices = first(images, of: count, seed: seed)
    var size = Int((Double(indices.count) * portion).rounded())
    if portion > 0 && portion < 1 && indices.count > 1 {
      size = max(1, min(indices.count - 1, size))
    }
    return (Array(indices[..<size]), Array(indices[size...]))
  }
}
