/// Any layer as a model without auxiliary head and drop path.
final class PlainModel: Module, SpaceModel {
  private let layer: any Layer

  init(_ layer: any Layer) { self.layer = layer }

  /// The layer's own children: a wrapper adds nothing to paths.
  override var children: [(name: String, member: any ModuleMember)] { layer.children }
  override var supernetChildren: [(name: String, member: any ModuleMember)] {
    layer.supernetChildren
  }

  func callAsFunction(_ images: Tensor) -> Tensor { layer(images) }
}
