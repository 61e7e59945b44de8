/// A module with parts that only some architectures use, beside the candidates of its choices.
///
/// Where a part is used is seen from the choices' `applied`; it must not change the output.
protocol Prunable: Module {
  /// Forgets what the architecture that was applied to the whole model leaves unused.
  func prune()
}
