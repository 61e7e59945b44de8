/// A run of the model that computes nothing and looks at every candidate's shape.
class ShapeCheck {
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
    let results = choice.candidates.indices.map {
      (choice.candidates[$0].name, candidate($0, of: choice, x))
    }
    note(choice.box.key ?? "", results.map { ($0.0, $0.1.shape) })
    return results[0].1
  }

  /// The output of one candidate.
  func candidate(_ index: Int, of choice: LayerChoice, _ x: Tensor) -> Tensor {
    choice.candidates[index].layer(x)
  }

  /// Told of a choice about which the model asked more than its output: what it does may depend on it.
  func show(_ key: String) {}

  func run(_ choice: InputChoice, _ inputs: [Tensor]) -> Tensor? {
    guard choice.box.space === space else {
      strangers.append("InputChoice of \(choice.count)")
      return inputs.first
    }
    let key = choice.box.key ?? ""
    var sizes = inputs.map(\.shape)
    if choice.isConcatenation { for index in sizes.indices { sizes[index][1] = 0 } }
    let isUniform = sizes.allSatisfy { $0 == sizes[0] }
    if !isUniform { note(key, inputs.enumerated().map { ("\($0.offset)", $0.element.shape) }) }
    if choice.chosenCount == 0 { return nil }
    guard isUniform else { return inputs[0] }
    let all = choice.reduce(inputs, Decision(.fixed, active: Array(inputs.indices)))
    guard choice.isConcatenation else { return all }
    // A mixture has all inputs, and so other channels than some of them.
    let count = choice.chosenCount ?? 1
    let some = choice.reduce(inputs, Decision(.fixed, active: Array(0..<count)))
    note(key, [("\(count) inputs", some.shape), ("all", all.shape)])
    return choice.chosenCount == nil ? all : some
  }

  func run(_ choice: Repeat, _ x: Tensor) -> Tensor {
    let outputs = choice.run(x, choice.depths, isSampled: false)
    guard choice.box.space === space else {
      strangers.append("Repeat of depths \(choice.depths)")
      return outputs[0]
    }
    note(
      choice.box.key ?? "",
      zip(choice.depths, outputs).map { ("\($0.0) blocks", $0.1.shape) })
    return outputs[0]
  }

  /// Notes a value choice that the forward pass uses.
  func meet(_ choice: ValueChoice) {
    if choice.box.space !== space { strangers.append("ValueChoice of \(choice.candidateNames)") }
  }

  private func note(_ key: String, _ shapes: [(String, Shape)]) {
    guard shapes.contains(where: { $0.1 != shapes[0].1 }) else { return }
    guard !mismatches.contains(where: { $0.key == key }) else { return }
    mismatches.append((key, shapes.map { (name: $0.0, shape: $0.1) }))
  }
}
