import CKernels

/// A place in one of a plan's spaces.
struct Location {
  /// Index into the spaces given when the program runs.
  var space: Int32
  /// The operand's element type, to turn bytes into elements.
  var dtype: DType
  var byteOffset: Int
  /// Bytes of the value there; 0 where it may be all that follows.
  var byteCount = 0
}

/// One kernel call: plain data, so that replay touches no reference counts.
struct Launch {
  var function: esp_kernel
  var firstOperand: Int32
  var operandCount: Int32
  var rowOffset: Int32
  var rowBytes: Int32
  var rowCount: Int32
  /// Whether every row has operand locations of its own; else all share those of the first.
  var hasRowLocations: Bool
  /// Index into `openCLCalls`, or -1 where the device has no kernel for it.
  var openCL: Int32
  /// The recorded operation, for messages.
  var origin: Int32
}

/// A fixed sequence of kernel calls with its rows.
final class Program {
  var launches: ContiguousArray<Launch> = []
  var locations: ContiguousArray<Location> = []
  var openCLCalls: [OpenCLCall] = []
  /// What each call's kernel is called, beside `launches`.
  var names: [String] = []
  /// Scalars to evaluate and where their word goes in `rows`.
  var scalars: [(offset: Int, scalar: Scalar)] = []
  /// Flags of operands that may be absent: which of the plan's spaces, and where in `rows`.
  var absentFlags: [(space: Int, offset: Int)] = []
  private(set) var rows: UnsafeMutableRawPointer
  private(set) var rowBytes: Int
  /// Bytes of scratch that the program needs.
  var scratchBytes = 0
  /// The calls' OpenCL kernels, looked up when the program first runs.
  var openCLKernels: OpenCLKernels?

  init(rowBytes: Int) {
    self.rowBytes = rowBytes
    rows = .allocate(byteCount: max(rowBytes, 64), alignment: 16)
  }

  deinit { rows.deallocate() }

  /// Writes this run's scalars into the rows.
  func patch(slots: UnsafePointer<UInt32>) {
    for (offset, scalar) in scalars {
      rows.storeBytes(of: scalar.word(slots: slots), toByteOffset: offset, as: UInt32.self)
    }
  }
}

extension Program {
  /// Writes which operands are absent this time.
  func patch(isAbsent: [Bool]) {
    for (space, offset) in absentFlags {
      let flags = isAbsent[space] ? UInt32(ESP_ABSENT) : 0
      rows.storeBytes(of: flags, toByteOffset: offset, as: UInt32.self)
    }
  }
}

/// How a block runs: forward, and backward where it was planned under a gradient.
///
/// Spaces: 0 frame (saved for the backward), 1 scratch, then one for each operand, each result, each
/// result's upstream gradient and each operand's gradient.
final class Plan {
  let operandCount: Int
  let resultCount: Int
  let forward: Program
  let backward: Program?
  let frameBytes: Int
  /// Bytes of each value in a space of its own, behind the others: of all, in an exact arena.
  let ownSpaces: [Int]
  /// Operands whose gradient the backward computes.
  let producesGradient: [Bool]
  /// Results whose upstream gradient the backward reads.
  let readsUpstream: [Bool]
  /// Results and gradients that nothing computes.
  let shortcuts: Shortcuts?
  /// How long planning took.
  let seconds: Double

  init(
    operandCount: Int, resultCount: Int, forward: Program, backward: Program?, frameBytes: Int,
    ownSpaces: [Int], producesGradient: [Bool], readsUpstream: [Bool],
    shortcuts: Shortcuts? = nil, seconds: Double
  ) {
    self.operandCount = operandCount
    self.resultCount = resultCount
    self.forward = forward
    self.backward = backward
    self.frameBytes = frameBytes
    self.ownSpaces = ownSpaces
    self.producesGradient = producesGradient
    self.readsUpstream = readsUpstream
    self.shortcuts = shortcuts
    self.seconds = seconds
  }

  static let frameSpace: Int32 = 0
  static let scratchSpace: Int32 = 1
  func operandSpace(_ i: Int) -> Int { 2 + i }
  func resultSpace(_ i: Int) -> Int { 2 + operandCount + i }
  func upstreamSpace(_ i: Int) -> Int { 2 + operandCount + resultCount + i }
  func gradientSpace(_ i: Int) -> Int { 2 + operandCount + 2 * resultCount + i }
  var spaceCount: Int { 2 + 2 * operandCount + 2 * resultCount }
}
