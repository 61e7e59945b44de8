/// How α become the weights of a mixture, with what keeps skip connections from winning unfairly.
public struct RelaxationOptions: Sendable {
  /// NNI's implicit zero: the softmax has one more α, of a candidate that is nothing.
  public var hasImplicitZero = false
  /// The first weight of a skip connection beside the mixture, which falls to 0 over the search
  /// (DARTS-, arXiv:2009.01027); 1 in the paper, 0 is none.
  public var auxiliarySkip: Float = 0
  /// The weight of the zero-one loss on sigmoids that stand for the softmax (Fair-DARTS,
  /// arXiv:1911.12126); 10 in the paper, 0 keeps the softmax.
  public var zeroOneWeight: Float = 0

  /// DARTS' softmax.
  public init() {}

  init(_ values: SettingValues) throws(SettingError) {
    hasImplicitZero = try values.flag("implicit_zero", default: false)
    auxiliarySkip = Float(try values.number("auxiliary_skip", default: 0, in: 0...10))
    zeroOneWeight = Float(try values.number("zero_one_weight", default: 0, in: 0...1000))
    if hasImplicitZero && zeroOneWeight > 0 {
      throw SettingError(
        name: "implicit_zero", value: "true", expected: "false beside zero_one_weight: no softmax")
    }
  }

  /// The settings that `init` reads.
  static let settings = [
    SettingDescription(
      "implicit_zero", "false", "one more α a layer choice, for nothing, as in NNI"),
    SettingDescription(
      "auxiliary_skip", "0",
      "DARTS-: first weight of a skip connection beside the mixture, falling to 0; 1 in the paper"),
    SettingDescription(
      "zero_one_weight", "0",
      "Fair-DARTS: weight of the zero-one loss on sigmoids instead of a softmax; 10 in the paper"),
  ]
}

/// The weights that α of one space are.
struct Relaxation {
  private let options: RelaxationOptions
  /// 1 at each skip connection of a table, by its number; tables without one are left out.
  private var skips: [ObjectIdentifier: Variable] = [:]

  init(_ options: RelaxationOptions, _ alpha: AlphaTables, in space: SearchSpace) throws {
    self.options = options
    guard options.auxiliarySkip > 0 else { return }
    for table in alpha.tables {
      let mask = table.keys.flatMap { key -> [Float] in
        let kinds = space.operationKinds(key)
        return (0..<table.width).map { $0 < kinds.count && kinds[$0] == .skip ? 1 : 0 }
      }
      guard mask.contains(1) else { continue }
      skips[ObjectIdentifier(table.alpha)] = try Variable(mask, shape: table.alpha.type.shape)
    }
  }

  /// The probabilities of a table `[keys, width]`: what is compared in the end.
  func probabilities(_ table: AlphaTables.Table) -> Tensor {
    isFair(table) ? sigmoid(table.alpha.tensor) : table.relaxed
  }

  /// The multipliers of a mixture `[keys, width]`.
  ///
  /// DARTS- puts a skip connection of weight β beside each mixture. A mixture that has one as a
  /// candidate has it there already, so that β is added to its weight; where that candidate halves
  /// the image, the authors' code has 1x1 convolutions of its own for it.
  /// - Parameter progress: The share of the search that is done.
  func weights(_ table: AlphaTables.Table, progress: Double) -> Tensor {
    let weights = probabilities(table)
    guard let skips = skips[ObjectIdentifier(table.alpha)] else { return weights }
    return weights + skips.tensor * (options.auxiliarySkip * Float(1 - progress))
  }

  /// What the loss of α has beside the network's: Fair-DARTS' `−w · mean (σ(α) − ½)²`.
  func penalty(_ alpha: AlphaTables) -> Tensor? {
    let fair = alpha.tables.filter(isFair)
    let count = fair.reduce(0) { $0 + $1.alpha.type.shape.count }
    guard count > 0 else { return nil }
    let sums = fair.map { square(sigmoid($0.alpha.tensor) - 0.5).sum() }
    return addAll(sums) * (-options.zeroOneWeight / Float(count))
  }

  private func isFair(_ table: AlphaTables.Table) -> Bool {
    options.zeroOneWeight > 0 && table.kind == .choice
  }
}
