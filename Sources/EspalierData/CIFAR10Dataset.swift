/// CIFAR-10 in its official binary form: records of one label byte and 3 planes of 32x32 bytes.
///
/// Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
/// cs.toronto.edu/~kriz/cifar.html.
public struct CIFAR10Dataset: StoredDataset {
  /// The samples.
  public let samples: InMemoryDataset

  /// Where the files are published.
  public static let published = "cs.toronto.edu/~kriz/cifar.html (cifar-10-binary.tar.gz)"

  static let recordSize = 3073
  static let recordsInBatch = 10_000

  /// Reads batch files in the order given.
  ///
  /// - Parameter files: Paths, plain or gzip, each with 1 to 10,000 whole records.
  public init(files: [String]) throws(DatasetError) {
    precondition(!files.isEmpty, "CIFAR10Dataset: no files")
    var labels: [Int32] = []
    var pixels: [UInt8] = []
    for path in files {
      try CIFAR10Dataset.appendRecords(of: path, labels: &labels, pixels: &pixels)
    }
    samples = InMemoryDataset(
      bytes: pixels, labels: labels, channels: 3, height: 32, width: 32, classCount: 10)
  }

  /// Finds a training and a test set by their official names.
  ///
  /// - Parameter directory: Holds any of `data_batch_1.bin` to `data_batch_5.bin`, and
  ///   `test_batch.bin`, each perhaps with `.gz`.
  public static func trainAndTest(
    in directory: String
  ) throws(DatasetError) -> (train: CIFAR10Dataset, test: CIFAR10Dataset) {
    let train = (1...5).compactMap { existingFile(named: "data_batch_\($0).bin", in: directory) }
    guard !train.isEmpty, let test = existingFile(named: "test_batch.bin", in: directory) else {
      let batches = train.isEmpty ? ["any of data_batch_1.bin to data_batch_5.bin"] : []
      let test = existingFile(named: "test_batch.bin", in: directory)
      throw .missingFile(
        directory: directory, expected: batches + (test == nil ? ["test_batch.bin"] : []),
        published: published)
    }
    return (try CIFAR10Dataset(files: train), try CIFAR10Dataset(files: [test]))
  }

  private static func appendRecords(
    of path: String, labels: inout [Int32], pixels: inout [UInt8]
  ) throws(DatasetError) {
    let limit = recordSize * recordsInBatch
    let reader = try ByteReader(path: path)
    let bytes = try reader.read(atMost: limit)
    if bytes.count == limit { try reader.finish(expected: limit) }
    let (count, rest) = bytes.count.quotientAndRemainder(dividingBy: recordSize)
    guard count > 0, rest == 0 else {
      throw .truncated(path: path, found: bytes.count, expected: (count + 1) * recordSize)
    }
    for record in 0..<count {
      let label = bytes[record * recordSize]
      guard label < 10 else {
        throw .labelOutOfRange(path: path, index: record, label: Int(label), classCount: 10)
      }
      labels.append(Int32(label))
    }
    // Planes to channels-last.
    let area = 32 * 32
    pixels.append(
      contentsOf: [UInt8](unsafeUninitializedCapacity: count * 3 * area) { output, written in
        bytes.withUnsafeBufferPointer { source in
          var target = 0
          for record in 0..<count {
            let start = record * recordSize + 1
            var pixel = start
            while pixel < start + area {
              output[target] = source[pixel]
              output[target + 1] = source[pixel + area]
              output[target + 2] = source[pixel + 2 * area]
              target += 3
              pixel += 1
            }
          }
          written = target
        }
      })
  }
}
