/// Strides of a network that was designed for ImageNet, for images of any size.
///
/// From 64 pixels on they are the designer's. Smaller images keep the stem's stride 1 and as many
/// of the reductions as leave 4x4 pixels, the last ones: what is left out is done first in the
/// design, where an image of 224 pixels is far larger than a small one ever is.
struct MobileStrides {
  /// Images of which the last stage can have 4x4 pixels.
  static let smallestSide = 4

  /// The stride of the first convolution.
  let stem: Int
  /// The stride of each stage's first block.
  let stages: [Int]

  /// - Parameters:
  ///   - designed: Strides of the stages, 1 or 2, behind a stem of stride 2.
  ///   - image: What the network is for.
  init(_ designed: [Int], for image: ImageShape) {
    let side = min(image.height, image.width)
    guard side < 64 else {
      stem = 2
      stages = designed
      return
    }
    stem = 1
    var kept = 0
    var left = (side + 1) / 2
    while left >= Self.smallestSide {
      kept += 1
      left = (left + 1) / 2
    }
    let reductions = designed.filter { $0 == 2 }.count
    var omitted = max(reductions - kept, 0)
    stages = designed.map { stride in
      guard stride == 2 && omitted > 0 else { return stride }
      omitted -= 1
      return 1
    }
  }
}
