/// Mean and standard deviation of each channel, for `Normalize`.
public struct ChannelStatistics: Equatable, Sendable {
  /// One mean a channel, of pixels in [0, 1].
  public let mean: [Float]
  /// One (population) standard deviation a channel; 1 where all pixels are equal.
  public let standardDeviation: [Float]

  /// Takes given values, one a channel.
  public init(mean: [Float], standardDeviation: [Float]) {
    precondition(
      mean.count == standardDeviation.count && standardDeviation.allSatisfy { $0 > 0 },
      "ChannelStatistics: \(mean) and \(standardDeviation)")
    self.mean = mean
    self.standardDeviation = standardDeviation
  }

  /// Measures all images of a data set, in order and in double precision.
  public init(of dataset: any Dataset) throws(DatasetError) {
    let channels = dataset.channels
    var sums = [Double](repeating: 0, count: channels)
    var squares = sums
    if let stored = (dataset as? any StoredDataset)?.samples ?? dataset as? InMemoryDataset,
      case .bytes(let bytes) = stored.pixels
    {
      // Bytes are counted instead of added: exact and many times faster.
      var counts = [Int](repeating: 0, count: 256 * channels)
      bytes.withUnsafeBufferPointer { source in
        counts.withUnsafeMutableBufferPointer { counts in
          var channel = 0
          var i = 0
          while i < source.count {
            counts[256 &* channel &+ Int(source[i])] &+= 1
            channel = channel &+ 1 == channels ? 0 : channel &+ 1
            i &+= 1
          }
        }
      }
      for channel in 0..<channels {
        for value in 0..<256 {
          let (count, scaled) = (Double(counts[256 * channel + value]), Double(value) / 255)
          sums[channel] += count * scaled
          squares[channel] += count * scaled * scaled
        }
      }
    } else {
      var image = [Float](repeating: 0, count: dataset.imageSize)
      for index in 0..<dataset.count {
        var failure: DatasetError?
        image.withUnsafeMutableBufferPointer { buffer in
          do throws(DatasetError) {
            try dataset.fillImage(at: index, into: buffer)
          } catch {
            failure = error
          }
        }
        if let failure { throw failure }
        for (i, value) in image.enumerated() {
          sums[i % channels] += Double(value)
          squares[i % channels] += Double(value) * Double(value)
        }
      }
    }
    let count = Double(dataset.count * dataset.height * dataset.width)
    mean = sums.map { Float($0 / count) }
    standardDeviation = zip(sums, squares).map { sum, square in
      let variance = square / count - (sum / count) * (sum / count)
      return variance > 1e-12 ? Float(variance.squareRoot()) : 1
    }
  }
}
