/// The dominant eigenvalue of `∇²_α L_val`, by power iteration.
///
/// A Hessian times a vector is the central difference of two gradients, `(g(α + εv) − g(α − εv)) /
/// 2ε`: each is an ordinary pass that is planned already, so neither memory nor second-order
/// gradients of the candidates are needed.
struct ValidationCurvature {
  /// Products of the Hessian with a vector.
  private let iterations = 10
  /// ε, for a vector of length 1: α are logits, of size 1.
  private let distance = 0.05

  /// The eigenvalue of largest size at the present α, which afterwards are the same to the last bit.
  ///
  /// - Parameter gradients: A pass; both sides of a difference must draw the same random numbers.
  func dominantEigenvalue(
    _ alpha: AlphaTables, _ gradients: () throws -> Gradients
  ) throws -> Double {
    let variables = alpha.variables
    let before = try Snapshot(of: variables)
    let center = try variables.map { try $0.scalars() as [Float] }
    func gradient(_ vector: [[Double]], _ step: Double) throws -> [Double] {
      let moved = try zip(variables, zip(center, vector)).map { variable, pair in
        try Tensor(
          zip(pair.0, pair.1).map { Float(Double($0) + step * $1) }, shape: variable.type.shape)
      }
      try Variable.assign(moved, to: variables)
      let found = try gradients()
      return try variables.flatMap { variable in
        let values =
          try found[variable]?.scalars()
          ?? [Float](
            repeating: 0, count: variable.type.shape.count)
        return values.map(Double.init)
      }
    }
    // Any fixed direction that no symmetry of the candidates makes orthogonal to the eigenvector.
    var generator = SeededGenerator(seed: 1)
    var vector = normalized(center.flatMap { $0.map { _ in generator.normal() } })
    var eigenvalue = 0.0
    for _ in 0..<iterations {
      let direction = split(vector, like: center)
      let difference = zip(
        try gradient(direction, distance), try gradient(direction, -distance)
      ).map { ($0 - $1) / (2 * distance) }
      eigenvalue = zip(vector, difference).reduce(0) { $0 + $1.0 * $1.1 }
      vector = normalized(difference)
    }
    try before.restore()
    return abs(eigenvalue)
  }

  private func normalized(_ vector: [Double]) -> [Double] {
    let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return length > 0 ? vector.map { $0 / length } : vector
  }

  private func split(_ vector: [Double], like lists: [[Float]]) -> [[Double]] {
    var rest = vector[...]
    return lists.map { list in
      defer { rest = rest.dropFirst(list.count) }
      return Array(rest.prefix(list.count))
    }
  }
}
