/// Measures what the candidates of a network take on the current device, each computation once.
public struct LatencyMeasurement {
  private let space: SearchSpace
  private let network: CostPart
  private let batch: Int
  private let runs: Int
  private var generator = SeededGenerator(seed: 0)

  /// A measurement that has not begun.
  ///
  /// - Parameters:
  ///   - network: With all its candidates, on the current device; no architecture was applied.
  ///   - batch: Images at a time.
  ///   - runs: Of which the median counts, behind three that plan and warm up.
  /// - Throws: `LatencyError` where the network has choices that are not between layers.
  public init(of network: any Layer, image: ImageShape, batch: Int, runs: Int = 15) throws {
    func open(_ network: some Layer) throws -> (SearchSpace, CostPart) {
      let space = try SearchSpace(of: network, input: [image.channels, image.height, image.width])
      return (space, CostRun.parts(of: network, space: space, image: image).whole)
    }
    (space, self.network) = try open(network)
    (self.batch, self.runs) = (batch, runs)
    for choice in space.choices where choice.kind != .input && !space.isLayerChoice(choice.key) {
      throw LatencyError.unmeasurable(choice.key)
    }
  }

  /// Measures everything, and adds it to a table.
  ///
  /// - Parameter progress: Told how many of how many computations are measured.
  public mutating func measure(
    into table: inout LatencyTable, progress: (_ done: Int, _ count: Int) throws -> Void
  ) throws {
    var wanted: [(row: LatencyTable.Row, part: CostPart)] = []
    var known: Set<[String]> = []
    for (key, part) in network.all {
      let operation = part.operation(in: space)
      guard !operation.isEmpty, known.insert([operation, part.inputText]).inserted else { continue }
      let row = LatencyTable.Row(
        choice: key ?? "network", candidate: key == nil ? "fixed" : part.name,
        operation: operation, input: part.inputText, seconds: 0)
      wanted.append((row, part))
    }
    for (number, (row, part)) in wanted.enumerated() {
      try progress(number, wanted.count)
      var row = row
      let shape = Shape([batch] + part.input.dimensions.dropFirst())
      let x = try Tensor((0..<shape.count).map { _ in Float(generator.normal()) }, shape: shape)
      // What a step takes by itself is in both.
      let nothing = try median { x }
      let seconds = try median { part.callWithoutChoices(x, in: space) }
      row.seconds = max(seconds - nothing, 0) / Double(batch)
      table.append(row)
    }
    try progress(wanted.count, wanted.count)
  }

  /// The median time of a step that needs all of an output, in seconds.
  private func median(_ body: () -> Tensor) throws -> Double {
    var times: [Double] = []
    for _ in 0..<runs + 3 {
      let start = monotonicNow()
      let output = try step { () -> Tensor in
        let y = Mode.with(.evaluation, body)
        return y.slice(
          starts: y.shape.dimensions.map { _ in 0 }, sizes: y.shape.dimensions.map { _ in 1 })
      }
      _ = try output.item()
      times.append(monotonicNow() - start)
    }
    return times.dropFirst(3).sorted()[runs / 2]
  }
}
