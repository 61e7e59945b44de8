import Espalier
import Foundation
import Synchronization

/// Where text goes: results to standard output, everything else to standard error.
enum Console {
  /// Whether standard error is a terminal that understands control sequences.
  static let isTerminal =
    isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
  /// Whether colours are welcome (no-color.org).
  static let hasColour =
    isTerminal && (ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty

  /// The terminal's width in columns.
  static var width: Int {
    var size = winsize()
    let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20
    return isKnown ? Int(size.ws_col) : 80
  }

  /// Writes a line of the result.
  ///
  /// A failure is kept in `outputProblem` until the work is done, whose files may be there all the
  /// same.
  static func output(_ text: String) {
    guard let code = write(text + "\n", to: STDOUT_FILENO), code != EPIPE else { return }
    _ = firstOutputError.compareExchange(expected: 0, desired: code, ordering: .relaxed)
  }

  /// Why the result could not be written whole; nil where it could, or where its reader went away as
  /// `head` does.
  static var outputProblem: String? {
    let code = firstOutputError.load(ordering: .relaxed)
    return code == 0 ? nil : String(cString: strerror(code))
  }

  private static let firstOutputError = Atomic<CInt>(0)

  /// Writes a note.
  static func note(_ text: String) {
    endProgress()
    write(text + "\n", to: STDERR_FILENO)
  }

  /// Writes the last line of a command that failed.
  static func error(_ text: String) {
    let isRed = hasColour
    write((isRed ? "\u{1B}[31m" : "") + text + (isRed ? "\u{1B}[0m" : "") + "\n", to: STDERR_FILENO)
  }

  /// Shows a line that the next one replaces; only on a terminal.
  static func progress(_ text: String) {
    write("\r" + String(text.prefix(width - 1)) + "\u{1B}[K", to: STDERR_FILENO)
    hasOpenLine.set(true)
  }

  /// Ends a progress line, so that what follows stands alone.
  static func endProgress() {
    if hasOpenLine.exchange(false) { write("\n", to: STDERR_FILENO) }
  }

  /// Seconds since something was last printed.
  static var quietSeconds: Double {
    ProcessInfo.processInfo.systemUptime - Double(lastWrite.load(ordering: .relaxed)) / 1000
  }

  private static let hasOpenLine = SharedFlag()
  /// Milliseconds of the machine's up time.
  private static let lastWrite = Atomic<Int>(
    Int(ProcessInfo.processInfo.systemUptime * 1000))

  /// Writes text whole; else the error's number.
  @discardableResult
  private static func write(_ text: String, to descriptor: CInt) -> CInt? {
    lastWrite.store(Int(ProcessInfo.processInfo.systemUptime * 1000), ordering: .relaxed)
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EAGAIN {
        // A pipe that does not block and is full.
        var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&room, 1, -1)
        continue
      }
      if count <= 0 { return count < 0 ? errno : ENOSPC }
      bytes = bytes.dropFirst(count)
    }
    return nil
  }
}

/// Aligned columns for people.
struct Table {
  private var rows: [[String]]

  init(_ header: [String]) { rows = [header] }

  mutating func add(_ row: [String]) { rows.append(row) }

  var text: String {
    let widths = (rows.first ?? []).indices.map { column in
      rows.map { $0[column].count }.max() ?? 0
    }
    return rows.map { row in
      let cells = zip(row, widths).map { cell, width in
        cell + String(repeating: " ", count: width - cell.count)
      }
      let line = cells.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
    .joined(separator: "\n")
  }
}
