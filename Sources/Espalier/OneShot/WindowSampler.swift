/// Draws one alternative of each of several terms so that their costs add up to a number in a window.
///
/// Bins as in SPOS (arXiv:1904.00420): the window is cut into equal bins, one that is not empty is
/// drawn uniformly, then a combination within it by the product of its alternatives' weights. A table
/// of the weight of all combinations by their rounded sum, term by term, finds what a draw needs by
/// counting; it never gives up. Where a bin's border runs through a cell of the table, the exact sum
/// decides, so the distribution is exact.
struct WindowSampler {
  /// Cells of the table: the sums' rounding moves less than one draw in ten over a bin's border.
  private static let cellCount = 1 << 14

  /// One alternative of a term.
  struct Alternative {
    var cost: Double
    var weight: Double
  }

  /// A bin that combinations lie in.
  private struct Bin {
    var costs: Range<Double>
    /// Cells that hold sums of the bin, with the running total of their weights.
    var cells: [(cell: Int, total: Double)]
  }

  private let terms: [[Alternative]]
  /// The rounded cost of each alternative.
  private let steps: [[Int]]
  /// After so many terms: the weight of all combinations by their rounded sum.
  private var tables: [[Double]] = [[1]]
  private var bins: [Bin] = []
  /// The smallest and the largest sum.
  let reach: ClosedRange<Double>

  /// A sampler; `isEmpty` where no combination lies in the window.
  ///
  /// - Parameters:
  ///   - terms: At least one alternative each, of positive weight.
  ///   - window: The sums wanted; the last bin holds its upper end.
  ///   - binCount: Number of equal bins.
  init(_ terms: [[Alternative]], window: ClosedRange<Double>, binCount: Int) {
    precondition(binCount > 0 && terms.allSatisfy { !$0.isEmpty }, "WindowSampler: nothing to draw")
    self.terms = terms
    let least = terms.map { term in term.reduce(.infinity) { min($0, $1.cost) } }
    let most = terms.map { term in term.reduce(-.infinity) { max($0, $1.cost) } }
    // Added in the order in which sums are, so that they are reached exactly.
    reach = least.reduce(0, +)...max(least.reduce(0, +), most.reduce(0, +))
    let width = (reach.upperBound - reach.lowerBound) / Double(WindowSampler.cellCount)
    steps = zip(terms, least).map { term, least in
      term.map { width > 0 ? Int((($0.cost - least) / width).rounded()) : 0 }
    }
    // The exact extremes of each cell tell whether it lies in a bin.
    var extremes: [(least: Double, most: Double)] = [(0, 0)]
    for (term, steps) in zip(terms, steps) {
      let size = extremes.count + (steps.max() ?? 0)
      var table = [Double](repeating: 0, count: size)
      var next = [(least: Double, most: Double)](
        repeating: (.infinity, -.infinity), count: size)
      for (cell, weight) in tables[tables.count - 1].enumerated() where weight > 0 {
        for (alternative, step) in zip(term, steps) {
          table[cell + step] += weight * alternative.weight
          next[cell + step].least = min(
            next[cell + step].least, extremes[cell].least + alternative.cost)
          next[cell + step].most = max(
            next[cell + step].most, extremes[cell].most + alternative.cost)
        }
      }
      tables.append(table)
      extremes = next
    }
    let binWidth = (window.upperBound - window.lowerBound) / Double(binCount)
    for number in 0..<(binWidth > 0 ? binCount : 1) {
      let isLast = number == binCount - 1 || binWidth <= 0
      let costs =
        window.lowerBound + Double(number)
        * binWidth..<(isLast
        ? window.upperBound.nextUp : window.lowerBound + Double(number + 1) * binWidth)
      if let bin = bin(costs, extremes) { bins.append(bin) }
    }
  }

  /// A bin, or nil where no sum is known to lie in it: the extremes of a cell are sums of
  /// combinations.
  private func bin(_ costs: Range<Double>, _ extremes: [(least: Double, most: Double)]) -> Bin? {
    var bin = Bin(costs: costs, cells: [])
    var (total, isFilled) = (0.0, false)
    for (cell, weight) in tables[terms.count].enumerated() where weight > 0 {
      let (least, most) = extremes[cell]
      guard most >= costs.lowerBound, least < costs.upperBound else { continue }
      if costs.contains(least) || costs.contains(most) { isFilled = true }
      total += weight
      bin.cells.append((cell, total))
    }
    return isFilled ? bin : nil
  }

  /// Whether no combination lies in the window.
  var isEmpty: Bool { bins.isEmpty }

  /// One alternative a term.
  /// - Precondition: The window is not empty.
  func draw(_ generator: inout SeededGenerator) -> [Int] {
    precondition(!isEmpty, "WindowSampler: the window is empty")
    let bin = bins[Int.random(in: 0..<bins.count, using: &generator)]
    while true {
      let found = draw(from: bin, &generator)
      let cost = zip(terms, found).reduce(0) { $0 + $1.0[$1.1].cost }
      if bin.costs.contains(cost) { return found }
    }
  }

  /// A combination from the cells of a bin: the cell, then the terms from the last to the first.
  private func draw(from bin: Bin, _ generator: inout SeededGenerator) -> [Int] {
    let place = generator.uniform() * (bin.cells.last?.total ?? 0)
    var (low, high) = (0, bin.cells.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if bin.cells[middle].total > place { high = middle } else { low = middle + 1 }
    }
    var cell = bin.cells[low].cell
    var found = [Int](repeating: 0, count: terms.count)
    for index in terms.indices.reversed() {
      let weights = zip(terms[index], steps[index]).map { alternative, step in
        cell - step >= 0 && cell - step < tables[index].count
          ? alternative.weight * tables[index][cell - step] : 0
      }
      var rest = generator.uniform() * weights.reduce(0, +)
      var chosen = weights.lastIndex { $0 > 0 } ?? 0
      for (alternative, weight) in weights.enumerated() where weight > 0 {
        if rest < weight {
          chosen = alternative
          break
        }
        rest -= weight
      }
      found[index] = chosen
      cell -= steps[index][chosen]
    }
    return found
  }
}
