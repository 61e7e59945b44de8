import EspalierTensor
import Testing

@Suite("Indices outside their range")
struct IndexTests {
  private let index: Tensor

  init() throws { index = try Tensor([1, -1, 3, 0] as [Int32]) }

  @Test("A gathered row outside the table is NaN, and no gradient comes from it")
  func gather() throws {
    let table = try Tensor((0..<6).map { Float($0) }, shape: [3, 2])
    let found = try valueAndGradient(wrt: [table]) { () -> [Tensor] in
      let rows = table.gathered(index)
      return [rows.slice(0..<1, axis: 0).sum() + rows.slice(3..<4, axis: 0).sum() * 2, rows]
    }
    let rows = try found.value[1].numbers()
    #expect(rows[..<2] == [2, 3] && rows[6...] == [0, 1])
    #expect(rows[2..<6].allSatisfy { $0.isNaN })
    #expect(try found.gradients[0]?.numbers() == [2, 2, 1, 1, 0, 0])
  }

  @Test("A one-hot row outside the classes is zero")
  func oneHot() throws {
    #expect(
      try index.oneHot(classes: 3).numbers() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0])
  }

  @Test("A label outside the classes makes the cross-entropy NaN")
  func crossEntropyLabel() throws {
    let logits = try Tensor([Float](repeating: 0, count: 12), shape: [4, 3])
    #expect(try crossEntropy(logits, index).item().isNaN)
  }

  @Test("NaN passes through maxima, comparisons and sums as in IEEE 754")
  func notANumber() throws {
    let x = try Tensor([1, .nan, 3] as [Float])
    #expect(try x.sum().item().isNaN)
    #expect(try (x .> 0).numbers() == [1, 0, 1])
    #expect(try (x .!= x).numbers() == [0, 1, 0])
    #expect(try maximum(x, x).numbers()[1].isNaN)
    #expect(try relu(x).numbers()[1].isNaN)
    #expect(try softmax(x).numbers().allSatisfy { $0.isNaN })
  }
}
