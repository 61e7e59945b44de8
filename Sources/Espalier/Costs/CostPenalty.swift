import Foundation

/// A cost in the loss of a differentiable strategy.
public struct CostPenalty: Sendable, Equatable {
  /// How loss and expected cost E become one.
  public enum Form: String, CaseIterable, Sendable {
    /// `scale · loss · (log E / log reference)^exponent`: ProxylessNAS' `mul#log`; FBNet's with a
    /// reference of e.
    case multiply = "mul"
    /// `loss + scale · (E − reference) / reference`: ProxylessNAS' `add#linear`.
    case add
  }

  /// Which cost.
  public var key: CostKey
  /// How it enters.
  public var form: Form
  /// The factor in front.
  public var scale: Double
  /// The exponent of `multiply`.
  public var exponent: Double
  /// The cost that is aimed at; more than 1.
  public var reference: Double

  /// A penalty.
  public init(
    _ key: CostKey, form: Form = .multiply, scale: Double, exponent: Double, reference: Double
  ) {
    (self.key, self.form) = (key, form)
    (self.scale, self.exponent, self.reference) = (scale, exponent, reference)
  }

  /// Loss and expected cost, one element each, as one loss; recorded.
  func callAsFunction(_ loss: Tensor, expected: Tensor) -> Tensor {
    switch form {
    case .multiply: loss * factor(expected)
    case .add: loss + (expected - Float(reference)) * Float(scale / reference)
    }
  }

  /// What `multiply` multiplies the loss by.
  func factor(_ expected: Tensor) -> Tensor {
    pow(log(expected) / Float(Foundation.log(reference)), Float(exponent)) * Float(scale)
  }

  /// The penalty that settings give; nil without a cost.
  ///
  /// - Parameter defaults: The strategy's own; a cost of its key where `cost` is not given.
  init?(
    _ values: SettingValues, default cost: CostKey?, scale: Double, exponent: Double,
    reference: Double
  )
    throws(SettingError)
  {
    guard let key = try values.optionalCost("cost", default: cost) else { return nil }
    var form = Form.multiply
    if let text = values.texts["cost_form"] {
      guard let known = Form(rawValue: text) else {
        throw SettingError(
          name: "cost_form", value: text,
          expected: Form.allCases.map(\.rawValue).joined(separator: " or "))
      }
      form = known
    }
    self.init(
      key, form: form, scale: try values.number("cost_scale", default: scale, in: 0...1000),
      exponent: try values.number("cost_exponent", default: exponent, in: 0...100),
      reference: try values.number("cost_reference", default: reference, in: 1.0001...1e18))
  }

  /// The settings that `init` reads.
  static func settings(default cost: CostKey?, scale: Double, exponent: Double, reference: String)
    -> [SettingDescription]
  {
    [
      SettingDescription(
        "cost", cost?.rawValue ?? "none", "the cost in the loss: none, \(CostKey.names)"),
      SettingDescription(
        "cost_form", "mul",
        "mul: scale·loss·(log E / log reference)^exponent; add: loss + scale·(E/reference − 1)"),
      SettingDescription("cost_scale", "\(scale)", "the factor in front of the cost"),
      SettingDescription("cost_exponent", "\(exponent)", "mul: the exponent"),
      SettingDescription("cost_reference", reference, "the cost that is aimed at"),
    ]
  }
}

extension SettingValues {
  /// A cost by name.
  func cost(_ name: String, default fallback: CostKey) throws(SettingError) -> CostKey {
    guard let text = texts[name] else { return fallback }
    guard let key = CostKey(rawValue: text) else {
      throw SettingError(name: name, value: text, expected: CostKey.names)
    }
    return key
  }

  /// A cost by name, or nil for `none`.
  func optionalCost(_ name: String, default fallback: CostKey?) throws(SettingError) -> CostKey? {
    guard let text = texts[name] else { return fallback }
    guard text != "none" else { return nil }
    guard let key = CostKey(rawValue: text) else {
      throw SettingError(name: name, value: text, expected: "none, \(CostKey.names)")
    }
    return key
  }
}
