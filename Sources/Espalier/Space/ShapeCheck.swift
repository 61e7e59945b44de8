/// A run of the model that computes nothing and looks at every candidate's shape.
final class ShapeCheck {
  /// The check that is running on this thread.
  static var current: ShapeCheck? { ThreadState.current.object(ShapeCheck.self) }

  private(set) var mismatches: [(key: String, shapes: [(name: String, shape: Shape)])] = []
  private(set) var strangers: [String] = []
  private let space: SearchSpace

  init(_ space: SearchSpace) { self.space = space }

  func run(_ choice: LayerChoice, _ x: Tensor) -> Tensor {
    guard choice.box.space === space else {
      strangers.append("LayerChoice of \(choice.names)")
      return choice.candidates[0].layer(x)
    }
    if choice.candidates.isEmpty { return x.zerosLike() }
    let results = choice.candidates.map { ($0.name, $0.layer(x)) }
    note(choice.box.key ?? "", results.map { ($0.0, $0.1.shape) })
    return results[0].1
  }

  func run(_ choice: InputChoice, _ inputs: [Tensor]) -> Tensor? {
    guard choice.box.space === space else {
      strangers.append("InputChoice of \(choice.count)")
      return inputs.first
    }
    let isUniform = inputs.allSatisfy { $0.shape == inputs[0].shape }
    if !isUniform {
      note(choice.box.key ?? "", inputs.enumerated().map { ("\($0.offset)", $0.element.shape) })
      return inputs[0]
    }
    return choice.reduce(inputs, Decision(.fixed, active: Array(inputs.indices)))
  }

  private func note(_ key: String, _ shapes: [(String, Shape)]) {
    guard shapes.contains(where: { $0.1 != shapes[0].1 }) else { return }
    guard !mismatches.contains(where: { $0.key == key }) else { return }
    mismatches.append((key, shapes.map { (name: $0.0, shape: $0.1) }))
  }
}
