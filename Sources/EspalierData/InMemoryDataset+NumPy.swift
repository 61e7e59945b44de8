/// The order of axes in an array of images.
public enum ImageLayout: Sendable {
  /// [N, C, H, W], as in PyTorch.
  case channelsFirst
  /// [N, H, W, C], as in TensorFlow and here.
  case channelsLast
}

extension InMemoryDataset {
  /// Reads images and labels from two `.npy` files.
  ///
  /// - Parameters:
  ///   - npyImages: uint8 (divided by 255) or float32, [N, H, W] or four axes as `layout` says.
  ///   - npyLabels: uint8, int32 or int64 classes [N]; or float32 targets [N] or [N, T], which
  ///     makes a regression data set.
  ///   - layout: The order of axes in the images.
  ///   - classCount: The number of classes; by default the largest label plus one.
  public init(
    npyImages: String, npyLabels: String, layout: ImageLayout = .channelsLast,
    classCount: Int? = nil
  ) throws(DatasetError) {
    let images = try NumPyFile(path: npyImages)
    let answers = try NumPyFile(path: npyLabels)
    let shape = images.shape
    guard shape.count == 3 || shape.count == 4, shape.allSatisfy({ $0 > 0 }) else {
      throw .corrupt(
        path: npyImages, found: "shape \(shape)", expected: "three or four axes, none empty")
    }
    let planar = shape.count == 4 && layout == .channelsFirst
    let channels = shape.count == 3 ? 1 : planar ? shape[1] : shape[3]
    let (height, width) = planar ? (shape[2], shape[3]) : (shape[1], shape[2])
    guard answers.shape.first == shape[0] else {
      throw .mismatch(
        path: npyLabels, found: "shape \(answers.shape)", other: npyImages,
        expected: "\(shape[0]) samples")
    }
    let pixels: Pixels
    switch images.values {
    case .uint8(let bytes):
      pixels = .bytes(
        planar ? interleaved(bytes, channels: channels, area: height * width) : bytes)
    case .float32(let floats):
      guard floats.allSatisfy(\.isFinite) else {
        throw .corrupt(path: npyImages, found: "a value that is not finite", expected: "numbers")
      }
      pixels = .floats(
        planar ? interleaved(floats, channels: channels, area: height * width) : floats)
    case .int32, .int64:
      throw .corrupt(path: npyImages, found: "integers", expected: "uint8 or float32 pixels")
    }
    let labels: [Int]
    switch answers.values {
    case .uint8(let values): labels = values.map { Int($0) }
    case .int32(let values): labels = values.map { Int($0) }
    case .int64(let values): labels = values.map { Int($0) }
    case .float32(let targets):
      guard answers.shape.count <= 2, !targets.isEmpty, targets.allSatisfy(\.isFinite) else {
        throw .corrupt(
          path: npyLabels, found: "float32 of shape \(answers.shape)",
          expected: "finite targets [N] or [N, T]")
      }
      self.init(
        pixels: pixels, valueCount: shape.reduce(1, *), count: shape[0], channels: channels,
        height: height, width: width, classCount: nil, labels: [], targets: targets,
        targetCount: targets.count / shape[0])
      return
    }
    guard answers.shape.count == 1 else {
      throw .corrupt(
        path: npyLabels, found: "labels of shape \(answers.shape)", expected: "one axis")
    }
    let classes = classCount ?? min(labels.max() ?? 0, 1 << 20) + 1
    if let stray = labels.firstIndex(where: { $0 < 0 || $0 >= classes }) {
      throw .labelOutOfRange(
        path: npyLabels, index: stray, label: labels[stray], classCount: classes)
    }
    self.init(
      pixels: pixels, valueCount: shape.reduce(1, *), labels: labels.map { Int32($0) },
      channels: channels, height: height, width: width, classCount: classes)
  }
}

/// Planes [N, C, area] as channels-last [N, area, C].
private func interleaved<T>(_ planes: [T], channels: Int, area: Int) -> [T] {
  var result: [T] = []
  result.reserveCapacity(planes.count)
  for image in stride(from: 0, to: planes.count, by: channels * area) {
    for pixel in 0..<area {
      for channel in 0..<channels { result.append(planes[image + channel * area + pixel]) }
    }
  }
  return result
}
