/// The type of a tensor's elements.
public enum DType: UInt8, Hashable, Sendable, CustomStringConvertible {
  case float32
  case float64
  case int32
  case bool

  /// Bytes an element takes in memory.
  public var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .float64: 8
    case .bool: 1
    }
  }

  /// Whether gradients flow through tensors of this type.
  public var isFloatingPoint: Bool { self == .float32 || self == .float64 }

  /// The type's name as in NumPy.
  public var description: String {
    switch self {
    case .float32: "float32"
    case .float64: "float64"
    case .int32: "int32"
    case .bool: "bool"
    }
  }
}

/// How a tensor's elements lie in memory; never visible in the API.
enum Layout: UInt8, Hashable, Sendable {
  /// Four dimensions channels-last `[N, H, W, C]`, every other rank row-major.
  case standard
  /// Convolution weights `[K, C / groups, R, S]` as `[R, S, C / groups, K]`.
  case convolutionWeight
}

/// Shape, element type and layout of a tensor.
public struct TensorType: Hashable, Sendable, CustomStringConvertible {
  /// The sizes, written `[N, C, H, W]`.
  public var shape: Shape
  /// The element type.
  public var dtype: DType
  var layout: Layout

  /// A type in the standard layout.
  public init(_ shape: Shape, _ dtype: DType = .float32) {
    self.init(shape, dtype, .standard)
  }

  init(_ shape: Shape, _ dtype: DType, _ layout: Layout) {
    self.shape = shape
    self.dtype = dtype
    self.layout = layout
  }

  /// Bytes of a dense tensor of this type.
  public var byteCount: Int { shape.count * dtype.byteCount }

  /// `float32 [8, 3, 32, 32]`.
  public var description: String { "\(dtype) \(shape)" }

  /// The number of contiguous elements between strides: channels of an image, else the last size.
  var runLength: Int {
    if layout == .convolutionWeight { return shape[0] }
    return switch shape.rank {
    case 0: 1
    case 4: shape[1]
    default: shape[-1]
    }
  }

  /// Elements between neighbours along each dimension of a dense tensor.
  var strides: [Int] {
    let s = shape.dimensions
    if layout == .convolutionWeight {
      let (k, c, w) = (s[0], s[1], s[3])
      return [1, k, w * c * k, c * k]
    }
    if s.count == 4 {
      let (c, h, w) = (s[1], s[2], s[3])
      return [h * w * c, 1, w * c, c]
    }
    var result = [Int](repeating: 1, count: s.count)
    for axis in stride(from: s.count - 2, through: 0, by: -1) {
      result[axis] = result[axis + 1] * s[axis + 1]
    }
    return result
  }

  /// Axes from the outermost to the innermost in memory.
  var memoryOrder: [Int] {
    if layout == .convolutionWeight { return [2, 3, 1, 0] }
    return shape.rank == 4 ? [0, 2, 3, 1] : Array(0..<shape.rank)
  }

  /// Whether memory order is logical (NCHW) order, so that a change of rank moves nothing.
  var isLogicallyOrdered: Bool {
    if layout == .convolutionWeight { return false }
    return shape.rank != 4 || shape[1] == 1 || (shape[2] == 1 && shape[3] == 1)
  }
}
