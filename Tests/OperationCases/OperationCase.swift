import EspalierTensor

/// One operation on inputs of fixed shapes: what the tests check and Bench times.
public struct OperationCase: Sendable, CustomStringConvertible {
  /// How far a float32 result may be from the exact one.
  public enum Tolerance: Sendable {
    /// Equal to the float64 result: the operation only moves or picks numbers.
    case exact
    /// Within `ulps` units in the last place of the exact value, or of `scale` where that is larger.
    case elementwise(ulps: Double, scale: Double = 0)
    /// `√terms · 2⁻²³ · Σ|a·b|`. The function must be a sum of products with positive signs, so that
    /// running it on absolute values gives `Σ|a·b|`.
    case sum(terms: Int)
    /// 2·10⁻⁶ of the largest magnitude of the result: batch norm, softmax, losses, compositions.
    case relative
  }

  /// `stem/what is special about it`; unique.
  public let name: String
  /// Shapes, types and contents of the operands.
  public let inputs: [OperationInput]
  /// The same function in Python, of `x`, the list of inputs, for `Golden/generate.py`; nil where no
  /// golden is kept.
  public let torch: String?
  /// How far float32 may be off.
  public let tolerance: Tolerance
  /// Whether integer contents give exact results, forward and backward.
  public let isIntegerExact: Bool
  /// Inputs to differentiate by.
  public let differentiable: [Int]
  /// Whether the gradient is differentiable again.
  public let isTwiceDifferentiable: Bool
  /// Whether the golden holds PyTorch's gradient as well: inputs on kinks, where the choice of
  /// subgradient is a convention that central differences cannot see.
  public let isAtKink: Bool
  /// Floating-point operations of one forward pass.
  public let flops: Int
  /// The operation.
  public let function: @Sendable ([Tensor]) -> [Tensor]

  /// A case; by default differentiable, twice, in every floating-point input.
  public init(
    _ name: String, _ inputs: [OperationInput], torch: String?, _ tolerance: Tolerance,
    isIntegerExact: Bool = false, differentiable: [Int]? = nil, isTwiceDifferentiable: Bool = true,
    isAtKink: Bool = false, flops: Int? = nil,
    _ function: @escaping @Sendable ([Tensor]) -> [Tensor]
  ) {
    self.name = name
    self.inputs = inputs
    self.torch = torch
    self.tolerance = tolerance
    self.isIntegerExact = isIntegerExact
    self.differentiable =
      differentiable ?? inputs.indices.filter { inputs[$0].fill.isFloatingPoint }
    self.isTwiceDifferentiable = isTwiceDifferentiable && !self.differentiable.isEmpty
    self.isAtKink = isAtKink
    self.flops = flops ?? inputs.map(\.shape.count).max() ?? 0
    self.function = function
  }

  /// The operation's stem: the name up to the slash.
  public var stem: String { String(name.prefix { $0 != "/" }) }

  /// The name.
  public var description: String { name }

  /// The contents of every input; all are float32 numbers.
  public func values(seed: UInt64 = 0) -> [[Double]] {
    inputs.indices.map { index in
      var generator = CaseGenerator(name: "\(name)#\(index)", seed: seed)
      return inputs[index].fill.values(count: inputs[index].shape.count, &generator)
    }
  }

  /// The inputs as tensors, floating-point ones as `dtype`.
  public func tensors(_ values: [[Double]], _ dtype: DType = .float32) throws -> [Tensor] {
    try zip(inputs, values).map { try $0.tensor($1, dtype) }
  }

  /// Bytes that one forward pass in float32 must read and write at least: every operand once.
  public func byteCount() throws -> Int {
    let tensors = try tensors(values())
    var bytes = tensors.reduce(0) { $0 + $1.type.byteCount }
    try step { for result in function(tensors) { bytes += result.type.byteCount } }
    return bytes
  }
}

/// Every case, and those whose size makes them worth timing.
public enum OperationCases {
  /// All families, small shapes.
  public static let all: [OperationCase] =
    conv2d + matmul + pooling + batchNorm + unary + binary + reduction + softmax + loss + shaping
    + indexing + combine

  /// The case of that name.
  public static func named(_ name: String) -> OperationCase? {
    (all + large).first { $0.name == name }
  }
}
