/// The memory of one device that flushes use from its start, in chunks no larger than the device's
/// largest buffer.
///
/// An offset counts through all chunks; what is placed by `ArenaOffsets` lies in one.
final class Arena {
  /// `ESPALIER_ARENA=exact` gives every value a buffer of its exact size instead, so that tools see
  /// what goes beyond it.
  static let isExact = environmentVariable("ESPALIER_ARENA") == "exact"

  /// Bytes of all chunks but the last, which may be shorter.
  let chunkBytes: Int
  private let backend: any Backend
  private var chunks: ContiguousArray<(memory: UnsafeMutableRawPointer, byteCount: Int)> = []
  private(set) var capacity = 0

  init(_ backend: any Backend, chunkBytes: Int) {
    self.backend = backend
    self.chunkBytes = chunkBytes
  }

  /// Makes sure of `byteCount` bytes; returns whether memory had to be obtained.
  func reserve(_ byteCount: Int) throws(DeviceError) -> Bool {
    guard byteCount > capacity else { return false }
    try backend.finish()
    if let last = chunks.last, last.byteCount < chunkBytes {
      backend.free(last.memory, last.byteCount)
      capacity -= last.byteCount
      chunks.removeLast()
    }
    do throws(DeviceError) {
      // Room to spare, so that slightly larger needs do not move the arena again.
      try grow(to: byteCount + byteCount / 8)
    } catch .outOfMemory {
      try grow(to: byteCount)
    }
    return true
  }

  private func grow(to byteCount: Int) throws(DeviceError) {
    let wanted = (byteCount + 4095) & ~4095
    while capacity < wanted {
      let size = min(chunkBytes, wanted - capacity)
      chunks.append((try backend.allocate(size), size))
      capacity += size
    }
  }

  /// Where an offset lies.
  func space(at offset: Int) -> ResolvedSpace {
    if offset < chunkBytes { return ResolvedSpace(memory: chunks[0].memory, byteOffset: offset) }
    return ResolvedSpace(
      memory: chunks[offset / chunkBytes].memory, byteOffset: offset % chunkBytes)
  }
}

/// Offsets into an arena, one behind the other; nothing crosses from one chunk into the next.
struct ArenaOffsets {
  let chunkBytes: Int
  private(set) var end = 0
  /// The largest piece: none may be larger than a chunk.
  private(set) var largest = 0

  /// The offset of the next piece.
  mutating func push(_ byteCount: Int) -> Int {
    let byteCount = (byteCount + 63) & ~63
    largest = max(largest, byteCount)
    if chunkBytes - end % chunkBytes < byteCount { startChunk() }
    defer { end += byteCount }
    return end
  }

  /// Leaves room that is not a piece.
  mutating func skip(_ byteCount: Int) { end += (byteCount + 63) & ~63 }

  /// Leaves the rest of the chunk free.
  mutating func startChunk() {
    let used = end % chunkBytes
    if used > 0 && chunkBytes < Int.max { end += chunkBytes - used }
  }
}

/// Best fit for gradients that come and go, in chunks as the arena has them.
struct ArenaRows {
  private let chunkBytes: Int
  private var chunks: [OffsetAllocator] = [OffsetAllocator()]

  /// The largest gradient.
  private(set) var largest = 0

  init(chunkBytes: Int) { self.chunkBytes = chunkBytes }

  /// An offset from the rows' start, which is that of a chunk where there are several.
  mutating func allocate(_ byteCount: Int) -> Int {
    let byteCount = (byteCount + 63) & ~63
    largest = max(largest, byteCount)
    for index in chunks.indices {
      if let offset = chunks[index].allocate(byteCount, below: chunkBytes) {
        return index == 0 ? offset : index * chunkBytes + offset
      }
    }
    chunks.append(OffsetAllocator())
    return (chunks.count - 1) * chunkBytes + chunks[chunks.count - 1].allocate(byteCount)
  }

  mutating func free(_ offset: Int, _ byteCount: Int) {
    chunks[offset / chunkBytes].free(offset % chunkBytes, (byteCount + 63) & ~63)
  }

  /// Bytes from the start to the end of what was ever in use.
  var peak: Int {
    chunks.count == 1
      ? chunks[0].peak : (chunks.count - 1) * chunkBytes + chunks[chunks.count - 1].peak
  }
}
