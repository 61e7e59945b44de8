/// A network, or a candidate of one of its choices, without what is chosen inside of it.
final class CostPart {
  /// A choice as the forward pass meets it.
  struct Occurrence {
    let choice: LayerChoice
    let key: String
    /// By candidate.
    var candidates: [CostPart]
  }

  /// The network or the candidate.
  let layer: any Layer
  /// The candidate's name; `network` for the whole.
  let name: String
  /// What it takes; one image.
  let input: Shape
  /// What it gives; of unequal candidates its own.
  fileprivate(set) var output: Shape = []
  /// Its own, without those of choices inside.
  fileprivate(set) var multiplyAdds = 0
  /// The choices inside, in the order of the forward pass.
  fileprivate(set) var choices: [Occurrence] = []

  fileprivate init(_ layer: any Layer, _ name: String, _ input: Shape) {
    (self.layer, self.name, self.input) = (layer, name, input)
  }

  /// A cost as a sum over choices.
  ///
  /// - Parameter cost: What a part costs without the choices inside; its choice's key comes along, nil
  ///   for the network.
  func sum(key: String? = nil, _ cost: (CostPart, String?) throws -> Double) rethrows -> CostSum {
    var sum = CostSum(try cost(self, key))
    for occurrence in choices {
      sum.add(
        try occurrence.candidates.map { try $0.sum(key: occurrence.key, cost) },
        of: occurrence.key)
    }
    return sum
  }
}

/// A shape-only run of a network through every candidate of every choice, part by part.
final class CostRun: ShapeCheck {
  private var open: [CostPart] = []
  private var seen = 0
  private let meter: RecordedCost.Meter
  /// Whether what runs depends on no choice but by which candidates it takes.
  private(set) var addsUp = true

  private init(_ space: SearchSpace, _ meter: RecordedCost.Meter) {
    self.meter = meter
    super.init(space)
    addsUp = space.mutables.values.joined().allSatisfy { $0 is LayerChoice || $0 is InputChoice }
  }

  /// The parts of a network in evaluation, for one image, and whether its costs add up over choices.
  static func parts(
    of network: some Layer, space: SearchSpace, image: ImageShape
  ) -> (whole: CostPart, addsUp: Bool) {
    let input: Shape = [1, image.channels, image.height, image.width]
    let whole = CostPart(network, "network", input)
    var addsUp = true
    _ = Mode.with(.evaluation) {
      RecordedCost.measure { (meter: RecordedCost.Meter) in
        let run = CostRun(space, meter)
        run.open = [whole]
        ThreadState.current.with(run as ShapeCheck) { _ = network(Tensor(zeros: input)) }
        run.settle()
        addsUp = run.addsUp && run.mismatches.isEmpty
      }
    }
    return (whole, addsUp)
  }

  /// Gives what was recorded since the last time to the part that is open.
  private func settle() {
    let now = meter.multiplyAdds
    open[open.count - 1].multiplyAdds += now - seen
    seen = now
  }

  override func candidate(_ index: Int, of choice: LayerChoice, _ x: Tensor) -> Tensor {
    settle()
    let owner = open[open.count - 1]
    let (name, layer) = choice.candidates[index]
    let part = CostPart(layer, name, x.shape)
    if index == 0 {
      owner.choices.append(
        CostPart.Occurrence(choice: choice, key: choice.box.key ?? "", candidates: []))
    }
    owner.choices[owner.choices.count - 1].candidates.append(part)
    open.append(part)
    let output = super.candidate(index, of: choice, x)
    settle()
    part.output = output.shape
    open.removeLast()
    return output
  }

  override func show(_ key: String) { addsUp = false }

  override func run(_ choice: InputChoice, _ inputs: [Tensor]) -> Tensor? {
    // A model may ask whether there is an output, and how wide it is.
    if choice.chosenCount == nil { addsUp = false }
    return super.run(choice, inputs)
  }
}
