import Glibc

/// Bytes that new allocations can have without swapping, as the system estimates it; all there are
/// where it does not say.
func availableMemory() -> Int {
  guard let file = fopen("/proc/meminfo", "r") else { return Int.max }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  while fgets(&line, Int32(line.count), file) != nil {
    let text = line.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
    guard text.hasPrefix("MemAvailable:") else { continue }
    return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
      ?? Int.max
  }
  return Int.max
}
