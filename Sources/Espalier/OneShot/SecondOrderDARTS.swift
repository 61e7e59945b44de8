/// Differentiable architecture search, second order (arXiv:1806.09055, equations 7 and 8).
///
/// α follow the validation loss of the weights after the update that they are about to get,
/// `w' = w − ξ·(μ·m + ∇_w L_trn(w, α) + λ·w)`, by a finite difference for the mixed second derivative:
///
/// `∇_α L_val(w', α) − ξ·(∇_α L_trn(w⁺, α) − ∇_α L_trn(w⁻, α)) / 2ε`, where `w± = w ± ε·d`,
/// `d = ∇_w' L_val(w', α)` and `ε = 0.01 / ‖d‖`.
///
/// The virtual update is the one that the optimizer of the weights would do, without the clipping,
/// as in the authors' code. There is no second network: the weights are replaced and put back, to the
/// last bit. Unlike there, the passes at other weights touch no running statistics, and the three
/// passes over the training batch drop the same units.
public final class SecondOrderDARTS: MixedStrategy {
  /// `darts-second-order`.
  public static let name = "darts-second-order"
  private let options: MixedSearchOptions
  /// What `prepare` made.
  public private(set) var mixed: MixedSearch?

  /// A search with the authors' defaults, or others.
  public init(_ options: MixedSearchOptions = MixedSearchOptions()) { self.options = options }

  /// Makes α; refuses choices whose candidates differ in shape, and an optimizer whose update is
  /// not known.
  public func prepare(_ search: SearchContext) throws {
    guard search.optimizer is SGD else {
      throw RunError(
        "\(Self.name): unrolls an update of SGD, not of \(type(of: search.optimizer)); "
          + "take SGD for the weights, or the strategy \(DARTS.name)")
    }
    mixed = try MixedSearch(search, options)
  }

  /// One update of α, one of the weights.
  public func step(
    _ search: SearchContext, training: TensorBatch, validation: () throws -> TensorBatch
  ) throws -> StepResult {
    let held = try validation()
    let gradients = try unrolledGradient(search, training, held)
    try prepared.optimizer.update(with: prepared.alpha.gradients(gradients))
    let result = try prepared.trainWeights(search, training)
    try prepared.measureCurvature(search, held)
    return result
  }

  /// The gradient of the validation loss after one virtual update, by table.
  func unrolledGradient(
    _ search: SearchContext, _ training: TensorBatch, _ validation: TensorBatch
  ) throws -> [Tensor] {
    guard let optimizer = search.optimizer as? SGD else {
      preconditionFailure("\(Self.name): the optimizer of the weights is no SGD any more")
    }
    let mixed = prepared
    let (weights, alpha) = (search.weights.variables, mixed.alpha.variables)
    return try Mode.with(Mode(isTraining: true, updatesStatistics: false)) {
      let draws = RandomPosition.current
      let (_, inner) = try draws.replay {
        try valueAndGradient(wrt: weights) { mixed.evaluate(search, training).loss }
      }
      let virtual = weights.map { variable in
        inner[variable].map { optimizer.trialValue(of: variable, gradient: $0) }
          ?? variable.tensor
      }
      let (outer, direct) = try search.weights.withValues(virtual) {
        let (_, outer) = try valueAndGradient(wrt: weights + alpha) {
          mixed.alphaLoss(search, validation)
        }
        return (outer, try snapshots(of: alpha, outer))
      }
      let squares = weights.compactMap { outer[$0].map { square($0).sum() } }
      let norm = try squares.isEmpty ? 0 : Swift.max(sqrt(addAll(squares)).item(), 1e-8)
      // Without a gradient there is nothing to differ by.
      let distance = norm > 0 ? 0.01 / norm : 1
      func mixedDerivative(_ distance: Double) throws -> [Tensor] {
        let moved = weights.map { variable in
          outer[variable].map { variable.tensor + $0 * Float(distance) } ?? variable.tensor
        }
        return try search.weights.withValues(moved) {
          let (_, gradients) = try draws.replay {
            try valueAndGradient(wrt: alpha) { mixed.evaluate(search, training).loss }
          }
          return try snapshots(of: alpha, gradients)
        }
      }
      let (above, below) = (try mixedDerivative(distance), try mixedDerivative(-distance))
      let factor = optimizer.learningRate / Float(2 * distance)
      return zip(direct, zip(above, below)).map { $0 - ($1.0 - $1.1) * factor }
    }
  }

  private func snapshots(of variables: [Variable], _ gradients: Gradients) throws -> [Tensor] {
    try variables.map { try (gradients[$0] ?? $0.tensor.zerosLike()).snapshot() }
  }
}

extension AlphaTables {
  /// Gradients that were found otherwise than by one backward pass, for an optimizer.
  ///
  /// They are those of `Σ α·g`.
  func gradients(_ values: [Tensor]) throws -> Gradients {
    try valueAndGradient(wrt: variables) {
      addAll(zip(variables, values).map { ($0.tensor * $1).sum() })
    }.gradients
  }
}

extension SecondOrderDARTS {
  static let definition = StrategyDefinition(
    name: name,
    summary: "mixes all candidates by softmax(α), which look one update of the weights ahead",
    paper: "Liu et al. 2019, arXiv:1806.09055", parameters: MixedSearchOptions.settings(),
    make: { values throws(SettingError) in SecondOrderDARTS(try MixedSearchOptions(values)) })
}
