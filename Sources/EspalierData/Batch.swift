/// Samples that are trained on together, as arrays of the host: it may cross threads, and becomes
/// tensors on the thread that trains.
public struct Batch: Sendable {
  /// The pixels, stored channels-last [N, H, W, C].
  public let images: [Float]
  /// One class a sample; empty for regression.
  public let labels: [Int32]
  /// The regression targets, [N, targetCount]; empty for classification.
  public let targets: [Float]
  /// The number of regression targets of a sample; 0 for classification.
  public let targetCount: Int
  /// The positions of the samples in the data set.
  public let indices: [Int]
  /// The dimensions of each image.
  public let imageShape: ImageShape

  /// The number of samples.
  public var count: Int { indices.count }
  /// The logical shape of `images`, [N, C, H, W], as shapes are written everywhere.
  public var shape: [Int] {
    [count, imageShape.channels, imageShape.height, imageShape.width]
  }

  /// Gathers and augments samples.
  ///
  /// - Parameters:
  ///   - dataset: Where the samples are.
  ///   - indices: Which samples, in order.
  ///   - transforms: Applied to each image in order.
  ///   - seed: With epoch and index, all that the transforms' randomness depends on.
  ///   - epoch: The epoch from 0.
  public init(
    of dataset: any Dataset, at indices: [Int], transforms: [any Augmentation] = [],
    seed: UInt64 = 0, epoch: Int = 0
  ) throws(DatasetError) {
    let shape = ImageShape(
      channels: dataset.channels, height: dataset.height, width: dataset.width)
    let size = dataset.imageSize
    var failure: DatasetError?
    images = [Float](unsafeUninitializedCapacity: indices.count * size) { buffer, written in
      // Filled by protocols that cannot promise to initialise every value.
      buffer.initialize(repeating: 0)
      written = buffer.count
      for (position, index) in indices.enumerated() {
        let image = UnsafeMutableBufferPointer(
          rebasing: buffer[position * size..<(position + 1) * size])
        do throws(DatasetError) {
          try dataset.fillImage(at: index, into: image)
        } catch {
          failure = error
          return
        }
        var generator = Philox(seed: seed, purpose: .augmentation, epoch: epoch, index: index)
        for transform in transforms {
          transform.apply(to: image, shape: shape, generator: &generator)
        }
      }
    }
    if let failure { throw failure }
    var labels: [Int32] = []
    var targets = [Float](repeating: 0, count: indices.count * dataset.targetCount)
    let targetCount = dataset.targetCount
    if targetCount == 0 {
      labels.reserveCapacity(indices.count)
      for index in indices { labels.append(try dataset.label(at: index)) }
    } else {
      targets.withUnsafeMutableBufferPointer { buffer in
        for (position, index) in indices.enumerated() {
          let part = position * targetCount..<(position + 1) * targetCount
          do throws(DatasetError) {
            try dataset.fillTarget(at: index, into: .init(rebasing: buffer[part]))
          } catch {
            failure = error
            return
          }
        }
      }
      if let failure { throw failure }
    }
    self.labels = labels
    self.targets = targets
    self.targetCount = targetCount
    self.indices = indices
    imageShape = shape
  }
}
