extension Pass {
  /// Sums a node in one pass: batch norms and sums of sums run on load.
  static let fuseCombine = Pass(name: "fuse-combine") { graph in
    CombineMatcher(graph).run(&graph)
    Pass.dropUnused.apply(&graph)
  }

  /// Takes the sums that a mixture's backward needs from the upstream gradient alone, in one pass
  /// over the candidates' results.
  static let fuseCombineSums = Pass(name: "fuse-combine-sums") { graph in
    CombineSumsMatcher(graph).run(&graph)
    Pass.dropUnused.apply(&graph)
  }
}

/// Finds sums of batch norms' results and of sums.
private struct CombineMatcher {
  private let index: GraphIndex
  private var graph: Graph { index.graph }

  init(_ graph: Graph) { index = GraphIndex(graph) }

  /// A term with its operands.
  private struct Part {
    var term = CombineTerm()
    var operands: [Int32]
    var weights: (value: Int32, scalar: Scalar)?
  }

  func run(_ graph: inout Graph) {
    for at in graph.nodes.indices {
      let node = graph.nodes[at]
      guard let combine = node.operation as? Combine, isFloat(node.results[0]),
        index.isOpen(at), !isInlined(node.results[0])
      else { continue }
      let parts = parts(at, combine)
      let isInlining = !combine.isWeighted && parts.contains(where: \.term.isWeighted)
      guard isInlining || parts.count > combine.count || parts.contains(where: \.term.isNormalized)
      else { continue }
      graph.nodes[at].operation = CombineNormalized(terms: parts.map(\.term))
      graph.nodes[at].operands = parts.flatMap {
        $0.operands + ($0.weights.map { [$0.value] } ?? [])
      }
      graph.nodes[at].scalars = parts.compactMap(\.weights?.scalar)
    }
  }

  private func isFloat(_ value: Int32) -> Bool { graph.types[Int(value)].dtype == .float32 }

  /// The terms of a sum, those of sums inside it included.
  private func parts(_ at: Int, _ combine: Combine) -> [Part] {
    let node = graph.nodes[at]
    return node.operands[..<combine.count].enumerated().flatMap { k, value -> [Part] in
      if combine.isWeighted {
        return [part(value, weights: (node.operands[combine.count], node.scalars[k]))]
      }
      guard isInlined(value), let inner = index.maker(of: value),
        let operation = graph.nodes[inner].operation as? Combine
      else { return [part(value, weights: nil)] }
      return parts(inner, operation)
    }
  }

  private func part(_ value: Int32, weights: (value: Int32, scalar: Scalar)?) -> Part {
    var part = Part(operands: [value], weights: weights)
    part.term.isWeighted = weights != nil
    let users = index.users(of: value)
    guard let at = index.maker(of: value), let normalize = graph.nodes[at].operation as? Normalize,
      !normalize.isAffine, !index.roots.contains(value),
      users.allSatisfy({ graph.nodes[$0].operation is Combine }), index.areTogether([at] + users)
    else { return part }
    part.term.isNormalized = true
    part.term.epsilon = normalize.epsilon
    part.operands = graph.nodes[at].operands
    return part
  }

  /// Whether the value is a sum that one plain sum alone uses.
  private func isInlined(_ value: Int32) -> Bool {
    guard let maker = index.maker(of: value), graph.nodes[maker].operation is Combine,
      let user = index.onlyUser(of: value),
      let outer = graph.nodes[user].operation as? Combine, !outer.isWeighted
    else { return false }
    // The backward's sums stay there: what they read of the forward would have to be kept.
    return graph.nodes[maker].isBackward == graph.nodes[user].isBackward
      && index.areTogether([maker, user])
      && graph.nodes[user].operands.filter { $0 == value }.count == 1
  }
}

/// Finds the backward of weighted sums of batch norms' results.
private struct CombineSumsMatcher {
  private let index: GraphIndex
  private var graph: Graph { index.graph }

  init(_ graph: Graph) { index = GraphIndex(graph) }

  /// What the backward of one weighted sum consists of.
  private struct Match {
    var upstream: Int32
    /// The node that makes the weights' gradient.
    var weightGradient: Int?
    /// For each term the nodes of its batch norm's sums and of what uses them.
    var norms: [(sums: Int, backward: [Int])?]
    /// The first node that the fused operation replaces.
    var first: Int
  }

  func run(_ graph: inout Graph) {
    var inserted: [Int: Graph.Node] = [:]
    for node in graph.nodes where !node.isBackward {
      guard let combine = node.operation as? Combine, combine.isWeighted,
        graph.types[Int(node.results[0])].dtype == .float32,
        graph.types[Int(node.results[0])].shape.rank == 4,
        let match = match(node, combine)
      else { continue }
      inserted[match.first] = replace(match, node, combine, &graph)
    }
    guard !inserted.isEmpty else { return }
    graph.nodes = graph.nodes.enumerated().flatMap { at, node in
      inserted[at].map { [$0, node] } ?? [node]
    }
  }

  /// The batch norm whose result a value is.
  private func norm(_ value: Int32) -> (node: Graph.Node, operation: Normalize)? {
    index.maker(of: value, Normalize.self).flatMap {
      $0.operation.isOfBatch && !$0.operation.isAffine ? $0 : nil
    }
  }

  private func match(_ node: Graph.Node, _ combine: Combine) -> Match? {
    let terms = Array(node.operands[..<combine.count])
    let weights = node.operands[combine.count]
    let weightGradient = index.users(of: terms[0]).first { at in
      let user = graph.nodes[at]
      guard let operation = user.operation as? CombineWeightGradient else { return false }
      return operation.count == combine.count && user.operands.starts(with: terms)
        && zip(user.scalars, node.scalars).allSatisfy(isSame)
    }
    var upstream = weightGradient.map { graph.nodes[$0].operands[combine.count] }
    var norms: [(sums: Int, backward: [Int])?] = []
    var products: [Int] = []
    for (k, value) in terms.enumerated() {
      guard let (norm, _) = norm(value),
        let product = index.users(of: weights).first(where: {
          let user = graph.nodes[$0]
          return (user.operation as? Combine)?.count == 1 && user.isBackward
            && isSame(user.scalars[0], node.scalars[k])
            && (upstream == nil || user.operands[0] == upstream)
        }), let found = backward(graph.nodes[product].results[0], norm)
      else {
        norms.append(nil)
        continue
      }
      upstream = graph.nodes[product].operands[0]
      products.append(product)
      norms.append(found)
    }
    guard let upstream else { return nil }
    let replaced = norms.compactMap { $0?.sums } + (weightGradient.map { [$0] } ?? [])
    guard let first = replaced.min(), norms.contains(where: { $0 != nil }) || hasNorm(terms),
      index.areTogether(replaced + products + norms.flatMap { $0?.backward ?? [] })
    else { return nil }
    return Match(upstream: upstream, weightGradient: weightGradient, norms: norms, first: first)
  }

  private func hasNorm(_ terms: [Int32]) -> Bool { terms.contains { norm($0) != nil } }

  /// The batch norm's backward from upstream gradient `dz`.
  private func backward(_ dz: Int32, _ norm: Graph.Node) -> (sums: Int, backward: [Int])? {
    let operands = [norm.operands[0], dz, norm.operands[1], norm.operands[2]]
    guard
      let sums = index.users(of: dz).first(where: {
        graph.nodes[$0].operation is BatchNormSums && graph.nodes[$0].operands == operands
      }), !index.roots.contains(graph.nodes[sums].results[0])
    else { return nil }
    let users = index.users(of: graph.nodes[sums].results[0])
    let isPlain = users.allSatisfy {
      (graph.nodes[$0].operation as? BatchNormBackward)?.isAffine == false
        && graph.nodes[$0].operands[..<4].elementsEqual(operands)
    }
    return isPlain ? (sums, users) : nil
  }

  private func isSame(_ a: Scalar, _ b: Scalar) -> Bool {
    guard case .slot(let x) = a.expression, case .slot(let y) = b.expression else { return false }
    return x == y
  }

  /// Makes the fused node and lets the batch norms' backward use its results.
  private func replace(
    _ match: Match, _ node: Graph.Node, _ combine: Combine, _ graph: inout Graph
  ) -> Graph.Node {
    var terms: [CombineTerm] = []
    var operands = [match.upstream, node.operands[combine.count]]
    var results = match.weightGradient.map { graph.nodes[$0].results } ?? []
    var scalars: [Scalar] = []
    for (k, value) in node.operands[..<combine.count].enumerated() {
      guard match.norms[k] != nil || match.weightGradient != nil else { continue }
      let normalized = norm(value)
      var term = CombineTerm(isWeighted: true)
      if let (norm, operation) = normalized {
        term.isNormalized = true
        term.epsilon = operation.epsilon
        operands += norm.operands
        let channels = graph.types[Int(value)].shape[1]
        let sums = graph.makeValue(TensorType([2, channels], .float32))
        let scale = graph.makeValue(TensorType([channels], .float32))
        results += [sums, scale]
        for at in match.norms[k]?.backward ?? [] {
          graph.nodes[at].operation = BatchNormBackward(isAffine: true, epsilon: operation.epsilon)
          graph.nodes[at].operands = [
            norm.operands[0], match.upstream, norm.operands[1], norm.operands[2], sums, scale,
          ]
        }
      } else {
        operands.append(value)
      }
      terms.append(term)
      scalars.append(node.scalars[k])
    }
    // What made the weights' gradient makes nothing any more and is dropped.
    if let at = match.weightGradient {
      let type = graph.types[Int(graph.nodes[at].results[0])]
      graph.nodes[at].results = [graph.makeValue(type)]
    }
    return Graph.Node(
      operation: CombineSums(terms: terms, wantsWeights: match.weightGradient != nil),
      operands: operands, results: results, scalars: scalars, isBackward: true,
      origin: node.origin, barrier: graph.nodes[match.first].barrier)
  }
}
