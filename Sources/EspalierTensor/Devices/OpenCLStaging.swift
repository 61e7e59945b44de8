import COpenCL

/// Memory through which bytes go to a device without waiting.
///
/// A ring in pinned host memory and, at the same offsets, a buffer on the device for the rows.
///
/// What was reserved stays untouched until the ring comes round; it waits then, once in thousands
/// of launches.
final class OpenCLStaging {
  struct Piece {
    let memory: UnsafeMutableRawPointer
    /// Of the piece in the ring; never 0, so that every launch begins behind row 0: drivers that
    /// compile a kernel anew for a launch from 0 do so for none.
    let offset: Int
    let buffer: OpaquePointer
  }

  private static let smallest = 8 << 20
  private static let start = 64

  private let context: OpaquePointer
  private var buffer: OpaquePointer?
  private var pinned: OpaquePointer?
  private var memory: UnsafeMutableRawPointer?
  private var capacity = 0
  private var end = OpenCLStaging.start

  init(_ context: OpaquePointer) { self.context = context }

  deinit { release() }

  private func release() {
    esp_cl_buffer_release(context, buffer)
    esp_cl_pinned_release(context, pinned, memory)
    (buffer, pinned, memory) = (nil, nil, nil)
  }

  /// A piece where it does not fill the ring quickly, else nil.
  func reserveIfSmall(_ byteCount: Int) throws(DeviceError) -> Piece? {
    byteCount <= OpenCLStaging.smallest / 4 ? try reserve(byteCount) : nil
  }

  func reserve(_ byteCount: Int) throws(DeviceError) -> Piece {
    if end + byteCount > capacity {
      try wait()
      end = OpenCLStaging.start
      if end + byteCount > capacity { try grow(to: end + byteCount) }
    }
    guard let memory, let buffer else { preconditionFailure("staging without memory") }
    let offset = end
    end = (end + byteCount + 63) & ~63
    return Piece(memory: memory + offset, offset: offset, buffer: buffer)
  }

  private func wait() throws(DeviceError) {
    let status = esp_cl_finish(context)
    guard status == 0 else {
      throw .failed(operation: "finish", reason: String(cString: esp_cl_status_name(status)))
    }
  }

  private func grow(to byteCount: Int) throws(DeviceError) {
    let wanted = max(OpenCLStaging.smallest, 2 * byteCount)
    release()
    capacity = 0
    let error = CMessage()
    let bytes = UInt64(wanted)
    var status = esp_cl_buffer_create(context, bytes, &buffer, error.buffer, error.capacity)
    if status == 0 {
      status = esp_cl_pinned_create(
        context, bytes, &pinned, &memory, error.buffer, error.capacity)
    }
    guard status == 0 else {
      release()
      throw .failed(operation: "rows", reason: error.text)
    }
    capacity = wanted
  }
}
