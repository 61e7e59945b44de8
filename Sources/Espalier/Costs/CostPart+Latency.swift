/// A run of a network, or of a candidate, without what is chosen inside of it: a choice's output is
/// zeros that are simply there.
final class RestRun: ShapeCheck {
  override func run(_ choice: LayerChoice, _ x: Tensor) -> Tensor {
    let shape = outputs[Place(choice: ObjectIdentifier(choice), input: inputShape(x.shape))]
    guard let shape else { preconditionFailure("a choice runs at a shape that it had not before") }
    return Tensor(zeros: Shape([x.shape[0]] + shape.dimensions.dropFirst()))
  }

  private struct Place: Hashable {
    let choice: ObjectIdentifier
    let input: Shape
  }
  private var outputs: [Place: Shape] = [:]

  init(_ space: SearchSpace, within part: CostPart) {
    super.init(space)
    for occurrence in part.choices {
      guard let candidate = occurrence.candidates.first else { continue }
      outputs[
        Place(choice: ObjectIdentifier(occurrence.choice), input: candidate.input)] =
        candidate.output
    }
  }

  private func inputShape(_ shape: Shape) -> Shape { Shape([1] + shape.dimensions.dropFirst()) }
}

extension CostPart {
  /// The output of the part alone.
  func callWithoutChoices(_ x: Tensor, in space: SearchSpace) -> Tensor {
    if choices.isEmpty && !(layer is any Mutable) { return layer(x) }
    return ThreadState.current.with(RestRun(space, within: self) as ShapeCheck) { layer(x) }
  }

  /// What the part computes; empty where it hands on its input.
  func operation(in space: SearchSpace) -> String {
    Mode.with(.evaluation) {
      RecordedSignature.of { _ = callWithoutChoices(Tensor(zeros: input), in: space) }.text
    }
  }

  /// `16x32x32`.
  var inputText: String {
    input.dimensions.dropFirst().map(String.init).joined(separator: "x")
  }

  /// The part, and all inside it.
  var all: [(key: String?, part: CostPart)] { all(key: nil) }

  private func all(key: String?) -> [(key: String?, part: CostPart)] {
    [(key, self)]
      + choices.flatMap { choice in choice.candidates.flatMap { $0.all(key: choice.key) } }
  }
}

extension LatencyTable {
  /// The latency of a network as a sum over its choices.
  ///
  /// - Throws: `LatencyError` where a candidate, or what is outside of choices, was not measured.
  func sum(of network: CostPart, in space: SearchSpace) throws -> CostSum {
    try network.sum { part, key in
      let operation = part.operation(in: space)
      if operation.isEmpty { return 0 }
      guard let seconds = seconds(of: operation, input: part.inputText) else {
        throw LatencyError.missing(
          choice: key ?? "the network", candidate: key == nil ? "what is fixed" : part.name,
          input: part.inputText, device: device)
      }
      return seconds
    }
  }
}
