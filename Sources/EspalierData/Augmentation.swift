#if canImport(Glibc)
  import Glibc
#else
  import Foundation
#endif

/// The dimensions of one image.
public struct ImageShape: Hashable, Sendable {
  /// The channels.
  public let channels: Int
  /// The height in pixels.
  public let height: Int
  /// The width in pixels.
  public let width: Int

  /// Creates a shape.
  public init(channels: Int, height: Int, width: Int) {
    self.channels = channels
    self.height = height
    self.width = width
  }
}

/// A change to one image in place.
///
/// All randomness must come from the generator, whose numbers are a function of seed, epoch and
/// index of the sample only: neither threads nor resuming can then change the result.
public protocol Augmentation: Sendable {
  /// Changes an image.
  ///
  /// - Parameters:
  ///   - image: The pixels, channels-last [H, W, C].
  ///   - shape: The image's dimensions, which stay.
  ///   - generator: This sample's random numbers.
  func apply(
    to image: UnsafeMutableBufferPointer<Float>, shape: ImageShape, generator: inout Philox)
}

/// Pads with zeros on all sides and takes a window of the old size at a random place.
public struct RandomCrop: Augmentation {
  /// The pixels added on each side.
  public let padding: Int

  /// Creates the augmentation; CIFAR-10's usual padding is 4.
  public init(padding: Int) {
    precondition(padding >= 0, "RandomCrop(padding: \(padding))")
    self.padding = padding
  }

  /// Moves the image by up to `padding` pixels each way and fills the rest with zeros.
  public func apply(
    to image: UnsafeMutableBufferPointer<Float>, shape: ImageShape, generator: inout Philox
  ) {
    // The window's corner relative to the image's.
    let top = generator.integer(below: 2 * padding + 1) - padding
    let left = generator.integer(below: 2 * padding + 1) - padding
    guard top != 0 || left != 0, let base = image.baseAddress else { return }
    let row = shape.width * shape.channels
    let kept = max(0, shape.width - abs(left)) * shape.channels
    let source = max(0, left) * shape.channels
    let target = max(0, -left) * shape.channels
    // Rows are moved in the order in which none is overwritten before it is read.
    for step in 0..<shape.height {
      let y = top >= 0 ? step : shape.height - 1 - step
      let from = y + top
      let line = base + y * row
      guard from >= 0 && from < shape.height && kept > 0 else {
        line.update(repeating: 0, count: row)
        continue
      }
      memmove(line + target, base + from * row + source, kept * MemoryLayout<Float>.stride)
      line.update(repeating: 0, count: target)
      (line + target + kept).update(repeating: 0, count: row - target - kept)
    }
  }
}

/// Mirrors left and right with probability one half.
public struct HorizontalFlip: Augmentation {
  /// Creates the augmentation.
  public init() {}

  /// Mirrors the image or leaves it.
  public func apply(
    to image: UnsafeMutableBufferPointer<Float>, shape: ImageShape, generator: inout Philox
  ) {
    guard generator.next32() >> 31 == 1, let base = image.baseAddress else { return }
    let (width, channels) = (shape.width, shape.channels)
    for y in 0..<shape.height {
      var left = base + y * width * channels
      var right = left + (width - 1) * channels
      while left < right {
        for channel in 0..<channels {
          (left[channel], right[channel]) = (right[channel], left[channel])
        }
        left += channels
        right -= channels
      }
    }
  }
}

/// Sets a square around a random pixel to zero; the square may reach over the edge.
///
/// Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with
/// Cutout", 2017. Applied after `Normalize`, zero is the mean colour, as in DARTS.
public struct Cutout: Augmentation {
  /// The side of the square in pixels.
  public let length: Int

  /// Creates the augmentation; DARTS uses 16 for CIFAR-10.
  public init(length: Int) {
    precondition(length >= 0, "Cutout(length: \(length))")
    self.length = length
  }

  /// Clears the square.
  public func apply(
    to image: UnsafeMutableBufferPointer<Float>, shape: ImageShape, generator: inout Philox
  ) {
    let y = generator.integer(below: shape.height)
    let x = generator.integer(below: shape.width)
    let rows = max(0, y - length / 2)..<min(shape.height, y - length / 2 + length)
    let columns = max(0, x - length / 2)..<min(shape.width, x - length / 2 + length)
    guard length > 0, !columns.isEmpty, let base = image.baseAddress else { return }
    for row in rows {
      (base + (row * shape.width + columns.lowerBound) * shape.channels)
        .update(repeating: 0, count: columns.count * shape.channels)
    }
  }
}

/// Subtracts the mean and divides by the standard deviation of each channel.
public struct Normalize: Augmentation {
  private let scale: [Float]
  private let shift: [Float]

  /// Creates the change from a training set's statistics.
  public init(_ statistics: ChannelStatistics) {
    scale = statistics.standardDeviation.map { 1 / $0 }
    shift = zip(statistics.mean, statistics.standardDeviation).map { -$0 / $1 }
  }

  /// Normalises every pixel.
  public func apply(
    to image: UnsafeMutableBufferPointer<Float>, shape: ImageShape, generator: inout Philox
  ) {
    let channels = shape.channels
    precondition(
      channels == scale.count, "Normalize: \(channels) channels, statistics of \(scale.count)")
    guard let base = image.baseAddress else { return }
    let end = base + shape.height * shape.width * channels
    for channel in 0..<channels {
      let (factor, term) = (scale[channel], shift[channel])
      var pixel = base + channel
      while pixel < end {
        pixel.pointee = pixel.pointee * factor + term
        pixel += channels
      }
    }
  }
}
