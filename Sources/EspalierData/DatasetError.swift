/// What can be wrong with a data set; every description is one line that names the file, what was
/// found and what was expected.
public enum DatasetError: Error, Equatable, Sendable {
  /// No data set has this name.
  case unknownName(String, valid: [String])
  /// The name needs a directory after a colon.
  case missingDirectory(name: String)
  /// A directory lacks files of a published data set.
  case missingFile(directory: String, expected: [String], published: String)
  /// A bundled data set is in none of the places looked at.
  case bundleNotFound(name: String, searched: [String])
  /// The file cannot be opened or read; `reason` is the operating system's.
  case unreadable(path: String, reason: String)
  /// The file is compressed and zlib cannot be loaded.
  case zlibMissing(path: String, reason: String)
  /// The file ends early; sizes in bytes, after decompression.
  case truncated(path: String, found: Int, expected: Int)
  /// The file goes on after its last sample; the size in bytes, after decompression.
  case tooLong(path: String, expected: Int)
  /// The contents contradict the format.
  case corrupt(path: String, found: String, expected: String)
  /// A label lies outside the classes.
  case labelOutOfRange(path: String, index: Int, label: Int, classCount: Int)
  /// Images and labels (or training and test images) do not belong together.
  case mismatch(path: String, found: String, other: String, expected: String)
}

extension DatasetError: CustomStringConvertible {
  /// One line for the user.
  public var description: String {
    // A damaged file or a strange path must not break the line.
    String(text.map { $0.isNewline || $0.isASCII && $0 < " " ? "?" : $0 })
  }

  private var text: String {
    switch self {
    case .unknownName(let name, let valid):
      "unknown data set '\(name)'; valid: \(valid.joined(separator: ", "))"
    case .missingDirectory(let name):
      "data set '\(name)' needs its directory: \(name):DIR"
    case .missingFile(let directory, let expected, let published):
      "\(directory): expected \(expected.joined(separator: ", ")), each perhaps with .gz; "
        + "published at \(published)"
    case .bundleNotFound(let name, let searched):
      "bundled data set '\(name)' not found; looked at \(searched.joined(separator: ", ")); "
        + "set ESPALIER_DATASETS to the folder that holds it"
    case .unreadable(let path, let reason):
      "\(path): cannot be read: \(reason)"
    case .zlibMissing(let path, let reason):
      "\(path): is compressed, and zlib (libz.so.1, Debian package zlib1g) cannot be loaded: "
        + "\(reason); install it or decompress the file"
    case .truncated(let path, let found, let expected):
      "\(path): truncated: found \(found) bytes, expected \(expected)"
    case .tooLong(let path, let expected):
      "\(path): too long: found more than the \(expected) bytes expected"
    case .corrupt(let path, let found, let expected):
      "\(path): found \(found), expected \(expected)"
    case .labelOutOfRange(let path, let index, let label, let classCount):
      "\(path): label \(label) at index \(index) is out of range, expected 0 to \(classCount - 1)"
    case .mismatch(let path, let found, let other, let expected):
      "\(path): found \(found), expected \(expected) as in \(other)"
    }
  }
}
