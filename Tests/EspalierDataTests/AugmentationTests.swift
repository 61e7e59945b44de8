import Testing

@testable import EspalierData

@Suite struct AugmentationTests {
  let shape = ImageShape(channels: 2, height: 4, width: 5)
  var image: [Float] { (0..<40).map { Float($0 + 1) } }

  func applied(_ augmentation: some Augmentation, index: Int) -> [Float] {
    var result = image
    var generator = Philox(seed: 9, purpose: .augmentation, index: index)
    result.withUnsafeMutableBufferPointer {
      augmentation.apply(to: $0, shape: shape, generator: &generator)
    }
    return result
  }

  /// The window at (top, left) of the image padded with zeros, written the obvious way.
  func window(top: Int, left: Int) -> [Float] {
    var result: [Float] = []
    for y in 0..<4 {
      for x in 0..<5 {
        for channel in 0..<2 {
          let (row, column) = (y + top, x + left)
          let inside = (0..<4).contains(row) && (0..<5).contains(column)
          result.append(inside ? image[(row * 5 + column) * 2 + channel] : 0)
        }
      }
    }
    return result
  }

  @Test(arguments: [1, 2, 6]) func cropIsAWindowOfThePaddedImage(padding: Int) {
    var windows: [[Float]: Int] = [:]
    let offsets = -padding...padding
    let possible = Set(
      offsets.flatMap { top in offsets.map { left in window(top: top, left: left) } })
    for index in 0..<2000 {
      windows[applied(RandomCrop(padding: padding), index: index), default: 0] += 1
    }
    #expect(Set(windows.keys) == possible)
    #expect(applied(RandomCrop(padding: 0), index: 0) == image)
  }

  @Test func flipMirrorsColumnsHalfOfTheTime() {
    var mirrored: [Float] = []
    for y in 0..<4 {
      for x in (0..<5).reversed() { mirrored += image[(y * 5 + x) * 2..<(y * 5 + x) * 2 + 2] }
    }
    var flips = 0
    for index in 0..<1000 {
      let result = applied(HorizontalFlip(), index: index)
      #expect(result == image || result == mirrored)
      if result == mirrored { flips += 1 }
    }
    #expect((430...570).contains(flips))
  }

  @Test func cutoutClearsOneSquare() {
    var sizes: Set<Int> = []
    for index in 0..<500 {
      let result = applied(Cutout(length: 2), index: index)
      let cleared = (0..<20).filter { result[2 * $0] == 0 }
      for pixel in 0..<20 {
        let kept = [image[2 * pixel], image[2 * pixel + 1]]
        #expect(
          Array(result[2 * pixel..<2 * pixel + 2]) == (cleared.contains(pixel) ? [0, 0] : kept))
      }
      let rows = Set(cleared.map { $0 / 5 })
      let columns = Set(cleared.map { $0 % 5 })
      #expect(cleared.count == rows.count * columns.count && rows.count <= 2 && columns.count <= 2)
      sizes.insert(cleared.count)
    }
    // Whole inside; half or three quarters over an edge or corner.
    #expect(sizes == [4, 2, 1])
    #expect(applied(Cutout(length: 0), index: 0) == image)
  }

  @Test func normalizeUsesItsChannel() {
    let result = applied(
      Normalize(ChannelStatistics(mean: [1, 2], standardDeviation: [2, 4])), index: 0)
    #expect(result[0] == 0 && result[1] == 0 && result[2] == 1 && result[3] == 0.5)
  }
}
