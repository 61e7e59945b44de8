import Testing

@testable import Espalier

@Suite("Rank correlation", .seededWeights)
struct RankCorrelationTests {
  private struct Golden: Decodable {
    var x: [Double]
    var y: [Double]
    var z: [Double]
    var spearman: Double
    var kendall: Double
    var partial: Double?
  }

  @Test("Spearman, Kendall and the partial Spearman are SciPy's, with equal numbers among them")
  func equalsSciPy() throws {
    let cases: [Golden] = try golden("rank_correlation.json")
    #expect(cases.count == 5)
    for item in cases {
      let spearman = try #require(RankCorrelation.spearman(item.x, item.y))
      let kendall = try #require(RankCorrelation.kendall(item.x, item.y))
      #expect(abs(spearman - item.spearman) < 1e-12)
      #expect(abs(kendall - item.kendall) < 1e-12)
      guard let partial = item.partial else { continue }
      let found = try #require(
        RankCorrelation.partialSpearman(item.x, item.y, fixing: item.z))
      #expect(abs(found - partial) < 1e-10)
    }
  }

  @Test("Equal numbers share the mean of their ranks; only the order counts")
  func ranks() {
    #expect(RankCorrelation.ranks([3, 1, 3, 2, 3]) == [4, 1, 4, 2, 4])
    #expect(RankCorrelation.spearman([1, 2, 3, 4], [1, 10, 100, 1000]) == 1)
    #expect(RankCorrelation.kendall([1, 2, 3, 4], [4, 3, 2, 1]) == -1)
  }

  @Test("A constant list has no order, and what z orders alone leaves nothing")
  func undefined() {
    #expect(RankCorrelation.spearman([1, 1, 1], [1, 2, 3]) == nil)
    #expect(RankCorrelation.kendall([1, 2, 3], [2, 2, 2]) == nil)
    #expect(RankCorrelation.spearman([], []) == nil)
    #expect(RankCorrelation.partialSpearman([1, 2, 3], [3, 1, 2], fixing: [2, 4, 6]) == nil)
  }
}
