import Foundation

extension Safetensors {
  /// A checkpoint that was loaded, perhaps not the newest.
  public struct Loaded: Sendable {
    /// The contents.
    public let contents: Safetensors
    /// The file that was read.
    public let file: String
    /// Why the newest file was passed over; nil when it was read.
    public let setback: CheckpointError?
  }

  /// Reads a file, or the one kept before it when it cannot be read.
  ///
  /// - Parameter path: The newest file.
  /// - Returns: The contents, with the error of the newest file if the older one had to serve.
  public static func loadNewest(at path: String) throws(CheckpointError) -> Loaded {
    do throws(CheckpointError) {
      return Loaded(contents: try Safetensors(contentsOf: path), file: path, setback: nil)
    } catch let newest {
      let previous = previousPath(of: path)
      guard access(previous, F_OK) == 0 else { throw newest }
      do throws(CheckpointError) {
        let contents = try Safetensors(contentsOf: previous)
        return Loaded(contents: contents, file: previous, setback: newest)
      } catch {
        // The newest file is the one that the user asked for.
        throw newest
      }
    }
  }

  /// Reads and checks a whole file.
  public init(contentsOf path: String) throws(CheckpointError) {
    // Read, not mapped: a file that somebody truncates would end the process.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw .unreadable(file: path, reason: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .unreadable(file: path, reason: "not a regular file")
    }
    var code: CInt = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      while count < buffer.count {
        let length = read(descriptor, base + count, min(buffer.count - count, 1 << 30))
        if length < 0 && errno == EINTR { continue }
        if length < 0 { code = errno }
        if length <= 0 { break }
        count += length
      }
    }
    guard code == 0 else { throw .unreadable(file: path, reason: String(cString: strerror(code))) }
    try self.init(parsing: bytes, file: path)
  }

  /// Reads and checks the bytes of a file.
  ///
  /// - Parameters:
  ///   - bytes: The whole file.
  ///   - file: Its name, for errors.
  public init(parsing bytes: [UInt8], file: String) throws(CheckpointError) {
    let reader = SafetensorsReader(bytes: bytes, file: file)
    let (header, start) = try reader.header()
    var texts: [String: String] = [:]
    var places: [SafetensorsReader.Place] = []
    for key in header.keys {
      guard let value = header[key] else { continue }
      if key == Safetensors.metadataKey {
        texts = try reader.metadata(value)
      } else {
        places.append(try reader.place(of: key, value, start: start))
      }
    }
    // By offset; an empty array comes before the one that starts at the same byte.
    places.sort { ($0.begin, $0.end, $0.name) < ($1.begin, $1.end, $1.name) }
    try reader.checkCoverage(places, start: start)
    try reader.checkChecksums(texts, places: places, start: start)
    metadata = texts.filter { !Safetensors.isReserved($0.key) }
    entries = [:]
    for place in places {
      entries[place.name] = Entry(
        elementType: place.elementType, shape: place.shape,
        bytes: Array(bytes[start + place.begin..<start + place.end]))
    }
  }
}

/// The checks on an untrusted file, one by one.
private struct SafetensorsReader {
  struct Place {
    let name: String
    let elementType: Safetensors.ElementType
    let shape: [Int]
    let begin: Int
    let end: Int
  }

  static let largestHeader = 100_000_000

  let bytes: [UInt8]
  let file: String

  func header() throws(CheckpointError) -> (JSONObject, start: Int) {
    guard bytes.count >= 8 else {
      throw damaged("the file has \(bytes.count) bytes, expected at least 8", at: 0)
    }
    let length = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[$1]) << (8 * UInt64($1)) }
    guard length <= UInt64(SafetensorsReader.largestHeader), length <= UInt64(bytes.count - 8)
    else {
      throw damaged(
        "a header of \(length) bytes in a file of \(bytes.count), at most "
          + "\(SafetensorsReader.largestHeader)", at: 0)
    }
    let start = 8 + Int(length)
    guard length > 0, bytes[8] == UInt8(ascii: "{") else {
      throw damaged("it does not start with '{'", at: 8)
    }
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(
        parsing: Array(bytes[8..<start]), largestSize: SafetensorsReader.largestHeader,
        largestCount: 10_000_000)
    } catch {
      throw damaged("\(error)", at: 8)
    }
    guard case .object(let header) = value else { throw damaged("it is no mapping", at: 8) }
    return (header, start)
  }

  func metadata(_ value: JSONValue) throws(CheckpointError) -> [String: String] {
    guard case .object(let object) = value else {
      throw damaged("__metadata__ is no mapping", at: 8)
    }
    var texts: [String: String] = [:]
    for key in object.keys {
      guard case .string(let text)? = object[key] else {
        throw damaged("metadata '\(key)' is no text", at: 8)
      }
      texts[key] = text
    }
    return texts
  }

  func place(of name: String, _ value: JSONValue, start: Int) throws(CheckpointError) -> Place {
    guard case .object(let object) = value, object.count == 3,
      case .string(let typeName)? = object["dtype"], case .array(let sizes)? = object["shape"],
      case .array(let offsets)? = object["data_offsets"]
    else {
      throw damaged("tensor '\(name)' has not just dtype, shape and data_offsets", at: 8)
    }
    guard let elementType = Safetensors.ElementType(rawValue: typeName) else {
      throw damaged("tensor '\(name)' has the unknown dtype '\(typeName)'", at: 8)
    }
    guard offsets.count == 2, case .integer(let begin) = offsets[0],
      case .integer(let end) = offsets[1], begin >= 0, begin <= end, end <= bytes.count - start
    else {
      throw damaged(
        "tensor '\(name)' has offsets \(value.compactText.suffix(120)) outside the "
          + "\(bytes.count - start) bytes of data", at: 8)
    }
    var shape: [Int] = []
    var size = elementType.size
    for dimension in sizes {
      guard case .integer(let count) = dimension, count >= 0 else {
        throw damaged("tensor '\(name)' has a dimension that is no count", at: 8)
      }
      let (product, overflow) = size.multipliedReportingOverflow(by: count)
      guard !overflow else { throw damaged("tensor '\(name)' has too large a shape", at: 8) }
      size = product
      shape.append(count)
    }
    guard size == end - begin else {
      throw damaged(
        "tensor '\(name)' takes \(end - begin) bytes, its shape \(shape) of \(typeName) \(size)",
        at: 8)
    }
    return Place(name: name, elementType: elementType, shape: shape, begin: begin, end: end)
  }

  func checkCoverage(_ places: [Place], start: Int) throws(CheckpointError) {
    var end = 0
    for place in places {
      guard place.begin == end else {
        throw damaged(
          "tensor '\(place.name)' starts at \(place.begin) of the data, expected \(end)", at: 8)
      }
      end = place.end
    }
    guard start + end == bytes.count else {
      throw damaged(
        "the tensors end at byte \(start + end), the file has \(bytes.count)", at: 8)
    }
  }

  /// Files of other writers have none; ours must have all.
  func checkChecksums(
    _ texts: [String: String], places: [Place], start: Int
  ) throws(CheckpointError) {
    guard texts.keys.contains(where: Safetensors.isReserved) else { return }
    var header = Array(bytes[8..<start])
    guard let stored = texts[Safetensors.headerChecksumKey],
      let place = Safetensors.headerChecksumPlace(in: header)
    else { throw damaged("its checksum is missing", at: 8) }
    header.replaceSubrange(place, with: Array(Safetensors.emptyChecksum.utf8))
    let found = CRC32C.text(of: header)
    guard found == stored else {
      throw damaged("CRC-32C \(found), expected \(stored)", at: 8)
    }
    for place in places {
      let offset = start + place.begin
      guard let stored = texts[Safetensors.checksumPrefix + place.name] else {
        throw .tensor(
          file: file, name: place.name, offset: offset, reason: "its checksum is missing")
      }
      let found = CRC32C.text(of: bytes[offset..<start + place.end])
      guard found == stored else {
        throw .tensor(
          file: file, name: place.name, offset: offset,
          reason: "CRC-32C \(found), expected \(stored)")
      }
    }
  }

  private func damaged(_ reason: String, at offset: Int) -> CheckpointError {
    .header(file: file, offset: offset, reason: reason)
  }
}
