import Testing

@testable import Espalier

@Suite("Strides of mobile networks", .seededWeights)
struct MobileStridesTests {
  @Test(
    "Below 64 pixels the stem keeps the size, and the last stages reduce as long as 4x4 are left",
    arguments: [
      (224, 2, [2, 2, 2, 2], 7), (64, 2, [2, 2, 2, 2], 2), (63, 1, [2, 2, 2, 2], 4),
      (32, 1, [1, 2, 2, 2], 4), (28, 1, [1, 2, 2, 2], 4), (17, 1, [1, 1, 2, 2], 5),
      (16, 1, [1, 1, 2, 2], 4), (8, 1, [1, 1, 1, 2], 4), (4, 1, [1, 1, 1, 1], 4),
    ])
  func strides(side: Int, stem: Int, stages: [Int], left: Int) {
    let image = ImageShape(channels: 3, height: side, width: side)
    let strides = MobileStrides([2, 2, 2, 2], for: image)
    #expect(strides.stem == stem && strides.stages == stages)
    let last = ([strides.stem] + strides.stages).reduce(side) { ($0 + $1 - 1) / $1 }
    #expect(last == left)
  }

  @Test("Stages that keep the size keep it, and the smaller side counts")
  func designs() {
    let image = ImageShape(channels: 1, height: 100, width: 16)
    #expect(MobileStrides([1, 2, 2, 2, 1, 2, 1], for: image).stages == [1, 1, 1, 2, 1, 2, 1])
  }
}
