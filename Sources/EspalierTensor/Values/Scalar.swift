/// A number that an operation takes as data: a new value needs no new plan.
///
/// Floats never are part of what identifies a plan. Where a gradient rule needs one, it gets it as a
/// `Scalar` and may only compute with it, so the value of the first step cannot be baked in.
public struct Scalar: Sendable {
  enum Expression: Sendable {
    case constant(Float)
    case bits(UInt32)
    /// The n-th scalar of the record that is being planned.
    case slot(Int32)
    indirect case sum(Expression, Expression)
    indirect case difference(Expression, Expression)
    indirect case product(Expression, Expression)
    indirect case quotient(Expression, Expression)
  }

  var expression: Expression

  init(expression: Expression) { self.expression = expression }

  /// A scalar with the given value.
  public init(_ value: Float) { expression = .constant(value) }

  /// A scalar with the given value, rounded to single precision.
  public init(_ value: Double) { expression = .constant(Float(value)) }

  /// A word whose bits a kernel reads as an integer.
  static func bits(_ word: UInt32) -> Scalar { Scalar(expression: .bits(word)) }

  /// The 32-bit word that a kernel reads, given the words of the record's scalars.
  func word(slots: UnsafePointer<UInt32>) -> UInt32 {
    switch expression {
    case .constant(let value): value.bitPattern
    case .bits(let word): word
    case .slot(let index): slots[Int(index)]
    default: Scalar.evaluate(expression, slots).bitPattern
    }
  }

  /// The word where it does not depend on the record's scalars.
  var constantWord: UInt32? {
    switch expression {
    case .constant(let value): value.bitPattern
    case .bits(let word): word
    default: nil
    }
  }

  private static func evaluate(_ e: Expression, _ slots: UnsafePointer<UInt32>) -> Float {
    switch e {
    case .constant(let value): value
    case .bits(let word): Float(bitPattern: word)
    case .slot(let index): Float(bitPattern: slots[Int(index)])
    case .sum(let a, let b): evaluate(a, slots) + evaluate(b, slots)
    case .difference(let a, let b): evaluate(a, slots) - evaluate(b, slots)
    case .product(let a, let b): evaluate(a, slots) * evaluate(b, slots)
    case .quotient(let a, let b): evaluate(a, slots) / evaluate(b, slots)
    }
  }

  /// The sum, evaluated each time the plan runs.
  public static func + (a: Scalar, b: Scalar) -> Scalar { combine(a, b, +, Expression.sum) }
  /// The difference, evaluated each time the plan runs.
  public static func - (a: Scalar, b: Scalar) -> Scalar { combine(a, b, -, Expression.difference) }
  /// The product, evaluated each time the plan runs.
  public static func * (a: Scalar, b: Scalar) -> Scalar { combine(a, b, *, Expression.product) }
  /// The quotient, evaluated each time the plan runs.
  public static func / (a: Scalar, b: Scalar) -> Scalar { combine(a, b, /, Expression.quotient) }
  /// The negated value.
  public static prefix func - (a: Scalar) -> Scalar { Scalar(Float(0)) - a }

  private static func combine(
    _ a: Scalar, _ b: Scalar, _ now: (Float, Float) -> Float,
    _ later: (Expression, Expression) -> Expression
  ) -> Scalar {
    if case .constant(let x) = a.expression, case .constant(let y) = b.expression {
      return Scalar(now(x, y))
    }
    return Scalar(expression: later(a.expression, b.expression))
  }
}

/// What may stand for a scalar in the API: a number, or a `Scalar` in a gradient rule.
public protocol ScalarValue {
  /// The value as data of the record.
  var scalar: Scalar { get }
}

extension Scalar: ScalarValue {
  /// Itself.
  public var scalar: Scalar { self }
}
extension Float: ScalarValue {
  /// The number as data.
  public var scalar: Scalar { Scalar(self) }
}
extension Double: ScalarValue {
  /// The number, rounded to single precision, as data.
  public var scalar: Scalar { Scalar(self) }
}
extension Int: ScalarValue {
  /// The number as data.
  public var scalar: Scalar { Scalar(Float(self)) }
}
