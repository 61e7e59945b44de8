/// What `--data` names: a bundled, synthetic or published data set.
public enum DataSource: Equatable, Sendable {
  /// The bundled cut of Fashion-MNIST.
  case fashionMNISTMini
  /// Any four IDX files; the name only says where the originals are published.
  case idx(name: String, directory: String)
  /// CIFAR-10's binary files.
  case cifar10(directory: String)
  /// Made from the seed.
  case synthetic

  /// The forms that `parse` takes.
  public static let names = [
    "fashion-mnist-mini", "mnist:DIR", "fashion-mnist:DIR", "usps:DIR", "cifar10:DIR", "synthetic",
  ]

  private static let published = [
    "mnist": "yann.lecun.com/exdb/mnist",
    "fashion-mnist": "github.com/zalandoresearch/fashion-mnist",
    "usps": "hastie.su.domains/ElemStatLearn (ZIP code data), to be converted to IDX",
  ]

  /// Reads a name, with `:DIR` where the data set lives in a directory.
  public static func parse(_ text: String) throws(DatasetError) -> DataSource {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    let directory = parts.count == 2 ? String(parts[1]) : nil
    if directory == nil || directory == "" {
      switch name {
      case "fashion-mnist-mini" where directory == nil: return .fashionMNISTMini
      case "synthetic" where directory == nil: return .synthetic
      case "mnist", "fashion-mnist", "usps", "cifar10": throw .missingDirectory(name: name)
      default: throw .unknownName(text, valid: names)
      }
    }
    guard let directory else { throw .unknownName(text, valid: names) }
    if name == "cifar10" { return .cifar10(directory: directory) }
    guard published[name] != nil else { throw .unknownName(text, valid: names) }
    return .idx(name: name, directory: directory)
  }

  /// Reads or makes the training and the test set.
  ///
  /// - Parameter seed: What the synthetic set is made from; the others do not depend on it.
  public func load(seed: UInt64) throws(DatasetError) -> LoadedData {
    switch self {
    case .fashionMNISTMini:
      let sets = try FashionMNISTMini.load()
      return try LoadedData(train: sets.train, test: sets.test)
    case .idx(let name, let directory):
      let sets = try IDXDataset.trainAndTest(
        in: directory, published: DataSource.published[name] ?? name)
      return try LoadedData(train: sets.train, test: sets.test)
    case .cifar10(let directory):
      let sets = try CIFAR10Dataset.trainAndTest(in: directory)
      return try LoadedData(train: sets.train, test: sets.test)
    case .synthetic:
      return try LoadedData(
        train: SyntheticDataset(.train, seed: seed), test: SyntheticDataset(.test, seed: seed))
    }
  }
}

extension DataSource {
  /// The name without a directory.
  public var name: String {
    switch self {
    case .fashionMNISTMini: FashionMNISTMini.name
    case .idx(let name, _): name
    case .cifar10: "cifar10"
    case .synthetic: "synthetic"
    }
  }
}

extension DataSource: CustomStringConvertible {
  /// The form that `parse` reads.
  public var description: String {
    switch self {
    case .fashionMNISTMini: FashionMNISTMini.name
    case .idx(let name, let directory): "\(name):\(directory)"
    case .cifar10(let directory): "cifar10:\(directory)"
    case .synthetic: "synthetic"
    }
  }
}

/// A training and a test set of the same shape, with the training set's statistics.
public struct LoadedData: Sendable {
  /// The training set.
  public let train: any Dataset
  /// The test set, which no selection may look at.
  public let test: any Dataset
  /// Mean and standard deviation of the training set.
  public let statistics: ChannelStatistics
  /// The number of classes; nil for regression.
  public let classCount: Int?

  /// Measures the training set.
  public init(train: any Dataset, test: any Dataset) throws(DatasetError) {
    self.train = train
    self.test = test
    statistics = try ChannelStatistics(of: train)
    classCount = train.classCount
  }
}
