import CKernels
import Espalier
import OperationCases

/// One operand of a kernel call: what lies in its memory.
struct KernelOperand {
  enum Content {
    /// Uniform random numbers.
    case uniform(Double, Double)
    /// Bytes that the case makes.
    case bytes([UInt8])
    /// Written by the kernel and compared.
    case output
    /// Written by the kernel and forgotten; of the kernel's type.
    case workspace
    /// The same in double, whatever the kernel's type.
    case doubleWorkspace
    /// Not there.
    case absent
  }

  var content: Content
  /// Number of elements.
  var count = 0
  /// Elements between pixels.
  var stride = 1

  static func input(_ count: Int, stride: Int, _ low: Double = -1, _ high: Double = 1) -> Self {
    KernelOperand(content: .uniform(low, high), count: count, stride: stride)
  }
  static func output(_ count: Int, stride: Int) -> Self {
    KernelOperand(content: .output, count: count, stride: stride)
  }
  static let absent = KernelOperand(content: .absent)
}

/// What others can compute too, for rows beside ours.
enum Rival {
  case convolution(ConvolutionShape, ConvolutionShape.Direction)
  case product(m: Int, n: Int, k: Int)
}

/// One CPU kernel, called as a plan calls it, on operands of its own.
struct KernelCase {
  var op: String
  var variant: String
  var shape: String
  /// Without taps that fall on padding.
  var flops: Double
  /// With them; how frameworks count.
  var nominalFlops: Double
  var float32: esp_kernel
  var float64: esp_kernel
  /// The row without operands and scalars.
  var row: [UInt8]
  var scalars: [Float] = []
  var operands: [KernelOperand]
  /// Whether memory is what it waits for: timed with cold caches too.
  var isMemoryBound = false
  var rival: Rival?

  /// Every operand once: what must be read and written at least.
  var byteCount: Double {
    operands.reduce(0) { sum, operand in
      switch operand.content {
      case .uniform, .output: sum + 4 * Double(operand.count)
      case .bytes: sum + Double(operand.count)
      default: sum
      }
    }
  }

  /// The bytes of a row.
  static func bytes<Row>(_ row: Row) -> [UInt8] { withUnsafeBytes(of: row) { Array($0) } }

  /// The numbers of operand `k`.
  func values(_ k: Int) -> [Double] {
    guard case .uniform(let low, let high) = operands[k].content else { return [] }
    var generator = CaseGenerator(name: "\(op) \(variant) \(shape) \(k)", seed: 0)
    return (0..<operands[k].count).map { _ in generator.uniform(low, high) }
  }
}

/// The largest difference over the largest magnitude of `exact`; not a number where one is.
func relativeError(_ found: [Double], _ exact: [Double]) -> Double {
  guard found.count == exact.count else { return .nan }
  var (difference, magnitude) = (0.0, 0.0)
  for (x, y) in zip(found, exact) {
    if !x.isFinite || !y.isFinite { return .nan }
    difference = max(difference, abs(x - y))
    magnitude = max(magnitude, abs(y))
  }
  return difference == 0 ? 0 : difference / magnitude
}

/// A case's memory and the call itself.
final class KernelCall {
  private let operation: KernelCase
  private let isDouble: Bool
  private let function: esp_kernel
  private let row: UnsafeMutableRawPointer
  private let base: UnsafeMutablePointer<UnsafeMutableRawPointer?>

  /// Memory for `operation` with its inputs in it.
  init(_ operation: KernelCase, isDouble: Bool = false) {
    self.operation = operation
    self.isDouble = isDouble
    function = isDouble ? operation.float64 : operation.float32
    row = .allocate(byteCount: operation.row.count, alignment: 16)
    row.copyMemory(from: operation.row, byteCount: operation.row.count)
    let count = operation.operands.count
    base = .allocate(capacity: count)
    for (k, operand) in operation.operands.enumerated() {
      var isAbsent = false
      if case .absent = operand.content { isAbsent = true }
      row.storeBytes(of: 0, toByteOffset: 12 * k, as: UInt32.self)
      row.storeBytes(of: Int32(operand.stride), toByteOffset: 12 * k + 4, as: Int32.self)
      row.storeBytes(of: isAbsent ? ESP_ABSENT : 0, toByteOffset: 12 * k + 8, as: UInt32.self)
      base[k] = KernelCall.memory(operation, k, isDouble)
    }
    for (s, scalar) in operation.scalars.enumerated() {
      row.storeBytes(of: scalar, toByteOffset: 12 * count + 4 * s, as: Float.self)
    }
  }

  deinit {
    for k in operation.operands.indices { base[k]?.deallocate() }
    base.deallocate()
    row.deallocate()
  }

  /// One call.
  func run() { function(base, row, 1) }

  /// What the call wrote, all outputs one after another.
  var outputs: [Double] {
    var result: [Double] = []
    for (k, operand) in operation.operands.enumerated() {
      guard case .output = operand.content, let memory = base[k] else { continue }
      if isDouble {
        let numbers = memory.assumingMemoryBound(to: Double.self)
        result += UnsafeBufferPointer(start: numbers, count: operand.count)
      } else {
        let numbers = memory.assumingMemoryBound(to: Float.self)
        result += UnsafeBufferPointer(start: numbers, count: operand.count).lazy.map(Double.init)
      }
    }
    return result
  }

  private static func memory(
    _ operation: KernelCase, _ k: Int, _ isDouble: Bool
  ) -> UnsafeMutableRawPointer {
    let operand = operation.operands[k]
    let size: Int
    switch operand.content {
    case .bytes: size = 1
    case .doubleWorkspace: size = 8
    default: size = isDouble ? 8 : 4
    }
    let byteCount = max(64, operand.count * size)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    if case .bytes(let bytes) = operand.content {
      memory.copyMemory(from: bytes, byteCount: min(bytes.count, byteCount))
    }
    for (index, value) in operation.values(k).enumerated() {
      if isDouble {
        memory.storeBytes(of: value, toByteOffset: 8 * index, as: Double.self)
      } else {
        memory.storeBytes(of: Float(value), toByteOffset: 4 * index, as: Float.self)
      }
    }
    return memory
  }
}
