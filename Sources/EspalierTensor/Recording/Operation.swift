/// What one node of the record computes: attributes, shape rule, kernel calls and gradient, in one file each.
///
/// Stored properties are *structure* (integers, Booleans, enums): together with the operands' types
/// they identify a plan. Floats are not stored; they are passed beside the operands as `Scalar`s.
public protocol Operation: Hashable, Sendable {
  /// The file's and kernels' name.
  static var stem: String { get }

  /// Whether some operand must have the layout of convolution weights.
  static var takesConvolutionWeights: Bool { get }

  /// Types of the results.
  /// - Precondition: Operands that do not fit trap with the operation's name and both shapes.
  func resultTypes(_ operands: [TensorType]) -> [TensorType]

  /// Emits the kernel calls that compute the results.
  func emit(into builder: inout LaunchBuilder)

  /// The gradient towards each operand, written with tensor functions; nil where there is none.
  func gradient(_ context: GradientContext) -> [Tensor?]

  /// Whether operand `index` can receive a gradient.
  func isDifferentiable(at index: Int) -> Bool

  /// Operands that are written in place: such an operation is never dead, never merged, run once.
  var effectTargets: [Int] { get }

  /// Whether one of two equal operations on equal operands can do for both before gradients are
  /// taken, so that theirs are summed before they go through it.
  static var mergesBeforeGradients: Bool { get }

  /// Whether its kernels read images with the pixel stride that their operand names.
  static var readsPixelStride: Bool { get }

  /// Whether its kernels write images so.
  static var writesPixelStride: Bool { get }

  /// Multiply-adds as the field counts them: convolutions and linear layers, a bias as one an output.
  func multiplyAdds(_ operands: [Shape], _ results: [Shape]) -> Int

  /// The layout operand `index` must have; a conversion is recorded where it differs.
  func requiredLayout(at index: Int) -> LayoutRequirement
}

/// What layout an operation accepts for one operand.
public enum LayoutRequirement: Sendable {
  case standard
  case convolutionWeight
  /// Any, as long as all operands that say so agree.
  case same
}

extension Operation {
  /// False: only convolutions do.
  public static var takesConvolutionWeights: Bool { false }
  /// False: kernels that walk over views take an image as dense.
  public static var readsPixelStride: Bool { false }
  /// False: kernels that walk over views take an image as dense.
  public static var writesPixelStride: Bool { false }
  /// True: most operations let gradients through.
  public func isDifferentiable(at index: Int) -> Bool { true }
  /// None: most operations only compute.
  public var effectTargets: [Int] { [] }
  /// Whether the operation writes in place.
  var hasEffect: Bool { !effectTargets.isEmpty }
  /// True: gradients are linear in what comes from upstream.
  public static var mergesBeforeGradients: Bool { true }
  /// None: only convolutions and matrix products count.
  public func multiplyAdds(_ operands: [Shape], _ results: [Shape]) -> Int { 0 }
  /// Standard layout.
  public func requiredLayout(at index: Int) -> LayoutRequirement { .standard }
}

/// What a gradient rule sees of one recorded operation.
public struct GradientContext {
  /// The operands.
  public let operands: [Tensor]
  /// The results.
  public let results: [Tensor]
  /// The gradient of the loss towards each result; nil is exactly zero.
  public let upstream: [Tensor?]
  /// The scalars the operation was recorded with.
  public let scalars: [Scalar]
  /// Which operands need a gradient; computing others is wasted.
  public let isWanted: [Bool]

  /// The upstream gradient of a single result.
  public var dy: Tensor {
    guard let first = upstream[0] else { preconditionFailure("no upstream gradient") }
    return first
  }
}
