/// What can be wrong with a checkpoint; every description is one line that names the file.
public enum CheckpointError: Error, Equatable, Sendable {
  /// The file cannot be opened or read.
  case unreadable(file: String, reason: String)
  /// The file cannot be written; the one before is unharmed.
  case unwritable(file: String, reason: String)
  /// The header is damaged; the offset counts bytes from the start of the file.
  case header(file: String, offset: Int, reason: String)
  /// One tensor is damaged; the offset counts bytes from the start of the file.
  case tensor(file: String, name: String, offset: Int, reason: String)
}

extension CheckpointError: CustomStringConvertible {
  /// One line for the user.
  public var description: String { text.onOneLine }

  private var text: String {
    switch self {
    case .unreadable(let file, let reason): "\(file): cannot be read: \(reason)"
    case .unwritable(let file, let reason): "\(file): cannot be written: \(reason)"
    case .header(let file, let offset, let reason):
      "\(file): damaged header at byte \(offset): \(reason)"
    case .tensor(let file, let name, let offset, let reason):
      "\(file): damaged tensor '\(name)' at byte \(offset): \(reason)"
    }
  }
}
