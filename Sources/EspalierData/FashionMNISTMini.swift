import Foundation

/// The bundled data set: the first 6,000 training and 2,000 test images of Fashion-MNIST (MIT
/// licence, Copyright 2017 Zalando SE).
public enum FashionMNISTMini {
  /// The folder's name inside `Datasets`.
  public static let name = "fashion-mnist-mini"

  /// Reads both sets.
  public static func load() throws(DatasetError) -> (train: IDXDataset, test: IDXDataset) {
    try IDXDataset.trainAndTest(
      in: try directory(), published: "github.com/zalandoresearch/fashion-mnist")
  }

  /// Finds the folder: in `ESPALIER_DATASETS`, then in a `Datasets` folder beside the executable or
  /// above it, in the current directory or above it, and in the source tree.
  public static func directory() throws(DatasetError) -> String {
    try directory(
      environment: ProcessInfo.processInfo.environment["ESPALIER_DATASETS"],
      starts: [executableDirectory(), FileManager.default.currentDirectoryPath, sourceDirectory])
  }

  static func directory(environment: String?, starts: [String]) throws(DatasetError) -> String {
    var searched: [String] = []
    func isPresent(_ folder: String) -> Bool {
      if searched.contains(folder) { return false }
      searched.append(folder)
      return existingFile(named: "train-images-idx3-ubyte", in: folder) != nil
    }
    if let environment, !environment.isEmpty {
      // A user who set it means it: no silent fall back to another copy.
      for folder in ["\(environment)/\(name)", environment] where isPresent(folder) {
        return folder
      }
      throw .bundleNotFound(name: name, searched: searched)
    }
    for start in starts where !start.isEmpty {
      var folder = start
      while true {
        let candidate = (folder == "/" ? "" : folder) + "/Datasets/\(name)"
        if isPresent(candidate) { return candidate }
        guard folder.count > 1, let slash = folder.lastIndex(of: "/") else { break }
        folder = slash == folder.startIndex ? "/" : String(folder[..<slash])
      }
    }
    throw .bundleNotFound(name: name, searched: searched)
  }

  private static func executableDirectory() -> String {
    let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return path.map { parent(of: $0) } ?? ""
  }

  /// The package's folder, from where this file was compiled: Sources/EspalierData/ is two below.
  private static var sourceDirectory: String {
    parent(of: parent(of: parent(of: "\(#filePath)")))
  }

  private static func parent(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
  }
}
