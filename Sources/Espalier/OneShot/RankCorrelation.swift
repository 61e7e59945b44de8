/// How far two lists of numbers put the same things in the same order, from −1 to 1; nil where one of
/// them is constant or they have fewer than two numbers.
public enum RankCorrelation {
  /// Spearman's ρ: Pearson's correlation of the ranks, equal numbers having their mean rank.
  public static func spearman(_ x: [Double], _ y: [Double]) -> Double? {
    pearson(ranks(x), ranks(y))
  }

  /// Kendall's τ-b, which corrects for equal numbers (Kendall 1945).
  ///
  /// - Complexity: O(n²).
  public static func kendall(_ x: [Double], _ y: [Double]) -> Double? {
    precondition(x.count == y.count, "kendall: \(x.count) numbers and \(y.count)")
    var (concordance, unequalX, unequalY) = (0, 0, 0)
    for i in x.indices {
      for j in 0..<i {
        let (a, b) = (sign(x[i] - x[j]), sign(y[i] - y[j]))
        concordance += a * b
        unequalX += a * a
        unequalY += b * b
      }
    }
    guard unequalX > 0 && unequalY > 0 else { return nil }
    return Double(concordance) / (Double(unequalX) * Double(unequalY)).squareRoot()
  }

  /// Spearman's ρ of x and y with z held fixed: the correlation of what a line through the ranks of z
  /// leaves of theirs.
  public static func partialSpearman(_ x: [Double], _ y: [Double], fixing z: [Double]) -> Double? {
    guard let xy = spearman(x, y), let xz = spearman(x, z), let yz = spearman(y, z) else {
      return nil
    }
    let left = (1 - xz * xz) * (1 - yz * yz)
    return left > 1e-12 ? (xy - xz * yz) / left.squareRoot() : nil
  }

  /// Ranks from 1; equal numbers have the mean of theirs.
  static func ranks(_ x: [Double]) -> [Double] {
    let order = x.indices.sorted { x[$0] < x[$1] }
    var ranks = [Double](repeating: 0, count: x.count)
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count && x[order[end]] == x[order[start]] { end += 1 }
      for place in start..<end { ranks[order[place]] = Double(start + end + 1) / 2 }
      start = end
    }
    return ranks
  }

  private static func pearson(_ x: [Double], _ y: [Double]) -> Double? {
    precondition(x.count == y.count, "correlation: \(x.count) numbers and \(y.count)")
    let (meanX, meanY) = (mean(x), mean(y))
    var (xy, xx, yy) = (0.0, 0.0, 0.0)
    for (a, b) in zip(x, y) {
      xy += (a - meanX) * (b - meanY)
      xx += (a - meanX) * (a - meanX)
      yy += (b - meanY) * (b - meanY)
    }
    return xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : nil
  }

  private static func mean(_ x: [Double]) -> Double { x.reduce(0, +) / Double(max(x.count, 1)) }

  private static func sign(_ x: Double) -> Int { x > 0 ? 1 : x < 0 ? -1 : 0 }
}
