import Foundation

/// Images and labels in the IDX format of MNIST: unsigned byte or float32, any square size, plain or
/// gzip; the element type is taken from the header, not from the file's name.
///
/// Source of the format: yann.lecun.com/exdb/mnist.
public struct IDXDataset: StoredDataset {
  /// The samples.
  public let samples: InMemoryDataset

  /// Reads one pair of files.
  ///
  /// - Parameters:
  ///   - images: The path of the images, IDX with three dimensions [N, H, W]. Bytes are divided by
  ///     255, float32 is taken as [0, 1].
  ///   - labels: The path of the labels, IDX with one dimension [N].
  ///   - classCount: The number of classes; nil finds it in the labels and refuses stray ones.
  public init(
    images: String, labels: String, classCount: Int? = nil
  ) throws(DatasetError) {
    // The small file first: it bounds how many images the large one may claim.
    let labelFile = try IDXFile(path: labels, dimensionCount: 1)
    let imageFile = try IDXFile(path: images, dimensionCount: 3)
    let (count, height, width) = (
      imageFile.dimensions[0], imageFile.dimensions[1], imageFile.dimensions[2]
    )
    guard count == labelFile.dimensions[0] else {
      throw .mismatch(
        path: images, found: "\(count) images", other: labels,
        expected: "\(labelFile.dimensions[0])")
    }
    guard height == width, height <= 1024 else {
      throw .corrupt(
        path: images, found: "images of \(height)x\(width)", expected: "squares up to 1024")
    }
    let values = try labelFile.readLabels()
    let classes: Int
    if let classCount {
      classes = classCount
      if let stray = values.firstIndex(where: { $0 < 0 || $0 >= Int32(classCount) }) {
        throw .labelOutOfRange(
          path: labels, index: stray, label: Int(values[stray]), classCount: classCount)
      }
    } else {
      classes = try IDXDataset.classCount(of: values, path: labels)
    }
    samples = InMemoryDataset(
      pixels: try imageFile.readPixels(), valueCount: count * height * width, labels: values,
      channels: 1, height: height, width: width, classCount: classes)
  }

  /// Finds a training and a test set by the names of MNIST's four files.
  ///
  /// - Parameters:
  ///   - directory: Holds `train-images-idx3-ubyte` and so on, each perhaps with `.gz`.
  ///   - published: Where the files come from, for the error when one is missing.
  public static func trainAndTest(
    in directory: String, published: String
  ) throws(DatasetError) -> (train: IDXDataset, test: IDXDataset) {
    let names = [
      "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
      "t10k-labels-idx1-ubyte",
    ]
    var paths: [String] = []
    for name in names {
      guard let path = existingFile(named: name, in: directory) else {
        throw .missingFile(
          directory: directory,
          expected: names.filter { existingFile(named: $0, in: directory) == nil },
          published: published)
      }
      paths.append(path)
    }
    let train = try IDXDataset(images: paths[0], labels: paths[1])
    // A small training set may lack a digit that the test set has; ten classes are never wrong.
    let classes = max(train.classCount ?? 0, 1)
    let test = try IDXDataset(images: paths[2], labels: paths[3], classCount: max(classes, 10))
    guard test.height == train.height else {
      throw .mismatch(
        path: paths[2], found: "images of \(test.height)x\(test.width)", other: paths[0],
        expected: "\(train.height)x\(train.width)")
    }
    let both = max(classes, Int(test.samples.labels.max() ?? 0) + 1)
    return (
      IDXDataset(samples: train.samples.withClassCount(both)),
      IDXDataset(samples: test.samples.withClassCount(both))
    )
  }

  init(samples: InMemoryDataset) { self.samples = samples }

  /// The classes of a set of labels, with stray labels refused.
  ///
  /// Up to ten classes are believed. Beyond ten (Kuzushiji-49, EMNIST), every class up to the
  /// largest must occur, and not just by a damaged byte: at least twice and with a hundredth of the
  /// mean. Class 0 may be absent, because EMNIST's letters count from 1.
  static func classCount(of labels: [Int32], path: String) throws(DatasetError) -> Int {
    var counts: [Int32: Int] = [:]
    for label in labels { counts[label, default: 0] += 1 }
    let least = max(2, labels.count / (100 * max(counts.count, 1)))
    var classes = Int(labels.filter { $0 < 10 }.max() ?? 0) + 1
    while counts[Int32(classes), default: 0] >= least { classes += 1 }
    if let stray = labels.firstIndex(where: { $0 < 0 || $0 >= Int32(classes) }) {
      throw .labelOutOfRange(
        path: path, index: stray, label: Int(labels[stray]), classCount: classes)
    }
    return classes
  }
}

/// The path of a file as named or with `.gz`, the plain one first; nil when there is neither.
func existingFile(named name: String, in directory: String) -> String? {
  for candidate in ["\(directory)/\(name)", "\(directory)/\(name).gz"]
  where access(candidate, F_OK) == 0 {
    return candidate
  }
  return nil
}
