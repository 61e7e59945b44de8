/// A fixed sequence of images, each with a class label or a vector of regression targets.
///
/// Conformers are read from several threads at once and must give the same sample for the same
/// index every time.
public protocol Dataset: Sendable {
  /// The number of samples.
  var count: Int { get }
  /// The channels of every image.
  var channels: Int { get }
  /// The height of every image in pixels.
  var height: Int { get }
  /// The width of every image in pixels.
  var width: Int { get }
  /// The number of classes; nil for regression.
  var classCount: Int? { get }
  /// The number of regression targets of a sample; 0 for classification.
  var targetCount: Int { get }

  /// Writes one image as float32 in [0, 1], channels-last [H, W, C].
  ///
  /// - Parameters:
  ///   - index: Which sample, below `count`.
  ///   - image: Room for `imageSize` values.
  func fillImage(
    at index: Int, into image: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError)

  /// The class of a sample, from 0; not called for regression.
  func label(at index: Int) throws(DatasetError) -> Int32

  /// Writes the `targetCount` regression targets of a sample; not called for classification.
  func fillTarget(
    at index: Int, into target: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError)
}

extension Dataset {
  /// The values in one image, channels · height · width.
  public var imageSize: Int { channels * height * width }

  /// No regression targets: a classification data set.
  public var targetCount: Int { 0 }

  /// No regression targets: nothing to write.
  public func fillTarget(
    at index: Int, into target: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError) {}
}

/// A data set whose samples are held in memory by an `InMemoryDataset`.
public protocol StoredDataset: Dataset {
  /// The samples.
  var samples: InMemoryDataset { get }
}

extension StoredDataset {
  /// The number of samples.
  public var count: Int { samples.count }
  /// The channels of every image.
  public var channels: Int { samples.channels }
  /// The height of every image in pixels.
  public var height: Int { samples.height }
  /// The width of every image in pixels.
  public var width: Int { samples.width }
  /// The number of classes; nil for regression.
  public var classCount: Int? { samples.classCount }
  /// The number of regression targets of a sample; 0 for classification.
  public var targetCount: Int { samples.targetCount }

  /// Writes one image as float32 in [0, 1], channels-last [H, W, C].
  public func fillImage(
    at index: Int, into image: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError) {
    samples.fillImage(at: index, into: image)
  }

  /// The class of a sample, from 0.
  public func label(at index: Int) throws(DatasetError) -> Int32 { samples.label(at: index) }

  /// Writes the regression targets of a sample.
  public func fillTarget(
    at index: Int, into target: UnsafeMutableBufferPointer<Float>
  ) throws(DatasetError) {
    samples.fillTarget(at: index, into: target)
  }
}
