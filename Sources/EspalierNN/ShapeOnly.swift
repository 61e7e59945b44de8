/// Models that are built only to look at their shapes.
///
/// Their parameters and buffers have storage that is never written, so that a network too large to
/// train costs little; what they contain is undefined.
package enum ShapeOnly {
  /// Whether what is built now is only looked at.
  @TaskLocal package static var isOn = false

  /// Builds a model whose contents are of no interest, on the CPU.
  package static func with<R>(_ body: () throws -> R) rethrows -> R {
    try Device.with(.cpu) { try $isOn.withValue(true, operation: body) }
  }
}
