/// A byte offset as a row can hold it: where the launch's base begins in the buffer, and the 32-bit
/// offset in elements behind that.
///
/// Bases are multiples of `spacing` elements, so that operands near each other share one and run in
/// one launch, and no operand of a large buffer wraps round.
struct OperandWindow: Equatable {
  /// Elements between bases.
  static let spacing = 1 << 31

  /// Bytes from the buffer's start to the base.
  let origin: Int
  /// Elements from the base to the operand, below the spacing.
  let offset: UInt32

  /// - Parameters:
  ///   - byteOffset: From the buffer's start, a multiple of the element's size.
  ///   - spacing: At most 2³² elements; times their size a multiple of what the device aligns to.
  init(byteOffset: Int, elementBytes: Int, spacing: Int = OperandWindow.spacing) {
    let elements = byteOffset / elementBytes
    let skipped = elements < spacing ? 0 : elements - elements % spacing
    origin = skipped * elementBytes
    offset = UInt32(elements - skipped)
  }
}

/// What the kernel gets for an operand: the buffer from `origin` bytes on.
struct OperandBase: Equatable {
  let memory: UnsafeMutableRawPointer
  let origin: Int
}
