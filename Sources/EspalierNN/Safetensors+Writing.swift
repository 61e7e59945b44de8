extension Safetensors {
  /// The file's bytes: the same for the same contents, with names in order and no time or host.
  public func serialized() -> [UInt8] {
    precondition(
      !metadata.keys.contains(where: Safetensors.isReserved),
      "Safetensors: metadata keys crc32c, crc32c.* and checksums are the format's own")
    precondition(
      entries[Safetensors.metadataKey] == nil, "Safetensors: an array named __metadata__")
    let names = entries.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    var header = JSONObject()
    var texts = JSONObject()
    for (key, value) in metadata { texts[key] = .string(value) }
    texts[Safetensors.checksumsKey] = .string("crc32c")
    texts[Safetensors.headerChecksumKey] = .string(Safetensors.emptyChecksum)
    var offset = 0
    for name in names {
      guard let entry = entries[name] else { continue }
      header[name] = .object([
        "dtype": .string(entry.elementType.rawValue),
        "shape": .array(entry.shape.map { .integer($0) }),
        "data_offsets": .array([.integer(offset), .integer(offset + entry.bytes.count)]),
      ])
      offset += entry.bytes.count
      texts[Safetensors.checksumPrefix + name] = .string(CRC32C.text(of: entry.bytes))
    }
    header[Safetensors.metadataKey] = .object(texts)

    var text = Array(JSONValue.object(header).compactText.utf8)
    // Arrays start at a multiple of eight, as other readers like it.
    text += [UInt8](repeating: 0x20, count: (8 - text.count % 8) % 8)
    if let place = Safetensors.headerChecksumPlace(in: text) {
      text.replaceSubrange(place, with: Array(CRC32C.text(of: text).utf8))
    }
    var file: [UInt8] = []
    file.reserveCapacity(8 + text.count + offset)
    for shift in 0..<8 { file.append(UInt8(truncatingIfNeeded: text.count >> (8 * shift))) }
    file += text
    for name in names { file += entries[name]?.bytes ?? [] }
    return file
  }

  /// Writes the file so that a crash or a full disk leaves the old or the new one whole, reads it
  /// back before it takes the old one's place, and keeps the old one as `NAME.previous.safetensors`.
  ///
  /// - Parameter path: The file, whose name should end in `.safetensors`.
  public func write(to path: String) throws(CheckpointError) {
    do throws(AtomicFileError) {
      try AtomicFile.write(
        serialized(), to: path, keepingPreviousAs: Safetensors.previousPath(of: path)
      ) { temporary in
        do throws(CheckpointError) {
          _ = try Safetensors(contentsOf: temporary)
          return nil
        } catch {
          return "\(error)"
        }
      }
    } catch {
      // The step that is said anyway is not said twice.
      let reason = error.step.hasPrefix("be written") ? "" : "cannot \(error.step): "
      throw .unwritable(file: error.path, reason: reason + error.reason)
    }
  }

  /// Where the file before the newest one is kept.
  public static func previousPath(of path: String) -> String {
    let suffix = ".safetensors"
    return (path.hasSuffix(suffix) ? String(path.dropLast(suffix.count)) : path)
      + ".previous" + suffix
  }

  /// The eight digits of the header's own checksum, which count as zeros in it.
  static func headerChecksumPlace(in header: [UInt8]) -> Range<Int>? {
    // Quotes inside texts are escaped, so this can only be the key.
    let pattern = Array("\"\(headerChecksumKey)\": \"".utf8)
    var start = 0
    while start + pattern.count + 8 <= header.count {
      guard let quote = header[start...].firstIndex(of: 0x22) else { return nil }
      if header[quote...].starts(with: pattern) {
        let digits = quote + pattern.count
        return digits + 8 <= header.count ? digits..<digits + 8 : nil
      }
      start = quote + 1
    }
    return nil
  }
}
