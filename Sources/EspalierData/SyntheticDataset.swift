import Foundation

/// Made-up images that a small network can learn: 3 channels, 32x32, 10 classes of oriented
/// gratings in two colour schemes, with random phase, wavelength, contrast and noise.
///
/// Five orientations times two colour schemes. The phase is random, so that the mean image of a
/// class says nothing and a network must find edges.
public struct SyntheticDataset: StoredDataset {
  /// Which of the two sets is made.
  public enum Part: Int, Sendable {
    /// 2,000 images.
    case train
    /// 500 images.
    case test

    /// The number of images.
    public var count: Int { self == .train ? 2000 : 500 }
  }

  /// The samples.
  public let samples: InMemoryDataset

  /// Makes one set from the seed; classes take turns, so each has the same number of images.
  public init(_ part: Part, seed: UInt64) {
    let size = 32
    var pixels: [UInt8] = []
    var labels: [Int32] = []
    pixels.reserveCapacity(part.count * size * size * 3)
    for index in 0..<part.count {
      let label = index % 10
      var generator = Philox(
        seed: seed, purpose: .synthesis, epoch: part.rawValue, index: index)
      SyntheticDataset.appendImage(
        of: label, size: size, to: &pixels, generator: &generator)
      labels.append(Int32(label))
    }
    samples = InMemoryDataset(
      bytes: pixels, labels: labels, channels: 3, height: size, width: size, classCount: 10)
  }

  private static func appendImage(
    of label: Int, size: Int, to pixels: inout [UInt8], generator: inout Philox
  ) {
    let angle = Float(label % 5) * .pi / 5 + (generator.uniform() - 0.5) * 0.2
    let frequency = 2 * Float.pi / (5 + 3 * generator.uniform())
    let phase = 2 * Float.pi * generator.uniform()
    let contrast = 0.2 + 0.2 * generator.uniform()
    // How red, green and blue follow the grating: together with red, or against each other.
    let colours: SIMD3<Float> = label < 5 ? [1, 0.5, -0.5] : [-0.5, 0.5, 1]
    let (dx, dy) = (cos(angle) * frequency, sin(angle) * frequency)
    for y in 0..<size {
      for x in 0..<size {
        let wave = sin(dx * Float(x) + dy * Float(y) + phase) * contrast
        for channel in 0..<3 {
          // The sum of two uniform numbers: noise without a library function.
          let noise = (generator.uniform() + generator.uniform() - 1) * 0.25
          // The base colour leans towards the scheme, the rest is the grating.
          let value = 0.5 + wave * colours[channel] + 0.05 * colours[channel] + noise
          pixels.append(UInt8(max(0, min(255, (value * 255).rounded()))))
        }
      }
    }
  }
}
