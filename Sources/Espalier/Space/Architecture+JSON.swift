import EspalierNN
import Foundation

extension Architecture {
  /// The architecture as JSON: two spaces, sorted keys, a line feed at the end; the same bytes for
  /// the same choices.
  public var jsonText: String { json.indentedText }

  /// The architecture as a JSON mapping.
  public var json: JSONValue {
    var object = JSONObject()
    for key in keys { object[key] = self[key]?.json }
    return .object(object)
  }

  /// Takes the members of a JSON mapping as choices.
  ///
  /// - Parameters:
  ///   - json: A mapping from key to choice.
  ///   - source: The file's name, for errors.
  public init(_ json: JSONValue, source: String) throws(ArchitectureError) {
    guard case .object(let object) = json else {
      let text = json.compactText
      throw .notAnArchitecture(file: source, found: String(text.prefix(60)))
    }
    self.source = source
    for key in object.keys { self[key] = object[key].map { ChoiceValue($0) } }
  }

  /// Reads an architecture in any of the notations in use.
  ///
  /// - A JSON mapping from key to choice.
  /// - A NAS-Bench-201 string, `|nor_conv_3x3~0|+|...|`, which gets the keys `i_j` for the edge
  ///   from node i to node j.
  /// - DARTS' `Genotype(...)`, a JSON mapping from stage to genotypes (CDARTS, the last stage), or a
  ///   genotype as a JSON mapping, or NNI 3's labels (`normal/op_2_0`): they get the keys of NNI 1,
  ///   `normal_n2_p0` and so on.
  /// - A network of the ProxylessNAS space under NNI 3's labels (`s2_depth`) or as its authors'
  ///   list of blocks, which get the keys `s2_i0` and so on.
  ///
  /// - Parameters:
  ///   - text: The text in UTF-8.
  ///   - source: The file's name, for errors.
  public init(parsing text: [UInt8], source: String) throws(ArchitectureError) {
    let start = text.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    let notation = String(decoding: text.prefix(1 << 20), as: UTF8.self)
    if start == UInt8(ascii: "|") {
      self = try Architecture(nasBench201: notation, source: source)
      return
    }
    if Genotype.isNotation(notation) {
      self = try Genotype(parsing: notation, source: source).architecture(source: source)
      return
    }
    let json: JSONValue
    do throws(JSONError) {
      json = try JSONValue(parsing: text)
    } catch {
      throw .json(file: source, error)
    }
    if case .string(let inner) = json, inner.hasPrefix("|") || Genotype.isNotation(inner) {
      try self.init(parsing: Array(inner.utf8), source: source)
    } else if let genotype = try Genotype(stages: json, source: source) {
      self = try genotype.architecture(source: source)
    } else if case .object(let object) = json,
      let genotype = try Genotype(labels: object, source: source)
    {
      self = try genotype.architecture(source: source)
    } else if case .object(let object) = json,
      let network = try MobileNotation.architecture(object, source: source)
    {
      self = network
    } else {
      try self.init(json, source: source)
    }
  }

  /// Reads an architecture file of at most 16 MiB; see `init(parsing:source:)` for the notations.
  public init(contentsOf path: String) throws(ArchitectureError) {
    try self.init(parsing: try Architecture.bytes(of: path), source: path)
  }

  /// Writes the JSON so that a crash leaves the old or the new file whole.
  public func write(to path: String) throws(ArchitectureError) {
    do throws(AtomicFileError) {
      try AtomicFile.write(Array(jsonText.utf8), to: path)
    } catch {
      throw .unreadable(file: error.path, reason: "cannot \(error.step): \(error.reason)")
    }
  }

  static func bytes(of path: String) throws(ArchitectureError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw .unreadable(file: path, reason: "cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .unreadable(file: path, reason: "not a regular file")
    }
    guard status.st_size <= 16 << 20 else {
      throw .unreadable(file: path, reason: "\(status.st_size) bytes, at most 16 MiB are read")
    }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < bytes.count {
      let length = bytes.withUnsafeMutableBytes { raw in
        read(descriptor, raw.baseAddress?.advanced(by: count), raw.count - count)
      }
      if length < 0 && errno == EINTR { continue }
      guard length >= 0 else {
        throw .unreadable(file: path, reason: "cannot be read: \(String(cString: strerror(errno)))")
      }
      if length == 0 { break }
      count += length
    }
    return Array(bytes.prefix(count))
  }
}
