/// A data set made of arrays.
public struct InMemoryDataset: Dataset {
  /// The pixels of all images, channels-last [N, H, W, C].
  enum Pixels: Sendable {
    /// Divided by 255 when read: a quarter of the memory of floats.
    case bytes([UInt8])
    /// Taken as they are.
    case floats([Float])
  }

  /// The number of samples.
  public let count: Int
  /// The channels of every image.
  public let channels: Int
  /// The height of every image in pixels.
  public let height: Int
  /// The width of every image in pixels.
  public let width: Int
  /// The number of classes; nil for regression.
  public let classCount: Int?
  /// The number of regression targets of a sample; 0 for classification.
  public let targetCount: Int

  let pixels: Pixels
  let labels: [Int32]
  let targets: [Float]

  /// Creates a classification data set from float pixels.
  ///
  /// - Parameters:
  ///   - images: Pixels in [0, 1], channels-last [N, H, W, C].
  ///   - labels: One class from 0 for each image.
  ///   - channels: The channels of every image.
  ///   - height: The height of every image in pixels.
  ///   - width: The width of every image in pixels.
  ///   - classCount: The number of classes; by default the largest label plus one.
  public init(
    images: [Float], labels: [Int32], channels: Int, height: Int, width: Int,
    classCount: Int? = nil
  ) {
    self.init(
      pixels: .floats(images), valueCount: images.count, labels: labels, channels: channels,
      height: height, width: width, classCount: classCount)
  }

  /// Creates a classification data set from byte pixels, divided by 255 when they are read.
  ///
  /// - Parameters:
  ///   - bytes: Pixels, channels-last [N, H, W, C].
  ///   - labels: One class from 0 for each image.
  ///   - channels: The channels of every image.
  ///   - height: The height of every image in pixels.
  ///   - width: The width of every image in pixels.
  ///   - classCount: The number of classes; by default the largest label plus one.
  public init(
    bytes: [UInt8], labels: [Int32], channels: Int, height: Int, width: Int,
    classCount: Int? = nil
  ) {
    self.init(
      pixels: .bytes(bytes), valueCount: bytes.count, labels: labels, channels: channels,
      height: height, width: width, classCount: classCount)
  }

  /// Creates a regression data set.
  ///
  /// - Parameters:
  ///   - images: Pixels in [0, 1], channels-last [N, H, W, C].
  ///   - targets: The targets, [N, targetCount].
  ///   - targetCount: The number of targets of a sample.
  ///   - channels: The channels of every image.
  ///   - height: The height of every image in pixels.
  ///   - width: The width of every image in pixels.
  public init(
    images: [Float], targets: [Float], targetCount: Int, channels: Int, height: Int, width: Int
  ) {
    precondition(
      targetCount > 0 && targets.count % targetCount == 0,
      "InMemoryDataset: \(targets.count) targets are no multiple of \(targetCount)")
    self.init(
      pixels: .floats(images), valueCount: images.count, count: targets.count / targetCount,
      channels: channels, height: height, width: width, classCount: nil, labels: [],
      targets: targets, targetCount: targetCount)
  }

  init(
    pixels: Pixels, valueCount: Int, labels: [Int32], channels: Int, height: Int, width: Int,
    classCount: Int?
  ) {
    let largest = Int(labels.max() ?? -1)
    let classes = classCount ?? largest + 1
    precondition(
      largest < classes && (labels.min() ?? 0) >= 0,
      "InMemoryDataset: labels \(labels.min() ?? 0) to \(largest) with \(classes) classes")
    self.init(
      pixels: pixels, valueCount: valueCount, count: labels.count, channels: channels,
      height: height, width: width, classCount: classes, labels: labels, targets: [],
      targetCount: 0)
  }

  init(
    pixels: Pixels, valueCount: Int, count: Int, channels: Int, height: Int, width: Int,
    classCount: Int?, labels: [Int32], targets: [Float], targetCount: Int
  ) {
    precondition(
      channels > 0 && height > 0 && width > 0 && valueCount == count * channels * height * width,
      "InMemoryDataset: \(valueCount) values are not \(count) images of "
        + "\(height)x\(width)x\(channels)")
    self.pixels = pixels
    self.count = count
    self.channels = channels
    self.height = height
    self.width = width
    self.classCount = classCount
    self.labels = labels
    self.targets = targets
    self.targetCount = targetCount
  }

  /// Writes one image as float32, channels-last [H, W, C].
  public func fillImage(at index: Int, into image: UnsafeMutableBufferPointer<Float>) {
    let size = imageSize
    precondition(image.count >= size, "fillImage: room for \(image.count) of \(size) values")
    guard let output = image.baseAddress else { return }
    switch pixels {
    case .bytes(let bytes):
      precondition(index >= 0 && index < count, "fillImage: \(index) of \(count) images")
      bytes.withUnsafeBufferPointer { source in
        let start = index * size
        // A plain while loop: vectorised when optimised, and bearable when not.
        var i = 0
        while i < size {
          output[i] = Float(source[start &+ i]) / 255
          i &+= 1
        }
      }
    case .floats(let floats):
      floats.withUnsafeBufferPointer { source in
        let part = UnsafeBufferPointer(rebasing: source[index * size..<(index + 1) * size])
        _ = image.update(fromContentsOf: part)
      }
    }
  }

  /// The class of a sample, from 0.
  public func label(at index: Int) -> Int32 { labels[index] }

  /// Writes the regression targets of a sample.
  public func fillTarget(at index: Int, into target: UnsafeMutableBufferPointer<Float>) {
    for i in 0..<targetCount { target[i] = targets[index * targetCount + i] }
  }

  /// The same images with another number of classes, which must hold all labels.
  func withClassCount(_ classCount: Int) -> InMemoryDataset {
    InMemoryDataset(
      pixels: pixels, valueCount: count * imageSize, labels: labels, channels: channels,
      height: height, width: width, classCount: classCount)
  }
}
