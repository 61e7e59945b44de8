extension Pass {
  /// Runs ReLU, depthwise and pointwise convolution and their batch norm's moments image by image.
  ///
  /// What the backward needs of the chain is computed again there, so neither the ReLU's nor the
  /// depthwise result is kept.
  static let fuseReluDepthwisePointwise = reluDepthwisePointwise(needsDepthwise: false)
  /// Only where there is a depthwise convolution.
  static let fuseReluDepthwisePointwiseNeedingDepthwise = reluDepthwisePointwise(
    needsDepthwise: true)

  private static func reluDepthwisePointwise(needsDepthwise: Bool) -> Pass {
    Pass(name: "fuse-relu-depthwise-pointwise") { graph in
      var matcher = ReluDepthwisePointwiseMatcher(graph, needsDepthwise: needsDepthwise)
      matcher.run()
      graph = matcher.graph
    }
  }
}

/// Finds the chains and puts the fused operations in their place.
private struct ReluDepthwisePointwiseMatcher {
  var graph: Graph
  private let index: GraphIndex
  private let needsDepthwise: Bool
  private var removed: Set<Int> = []
  private var replacements: [Int: Graph.Node] = [:]

  init(_ graph: Graph, needsDepthwise: Bool) {
    self.graph = graph
    self.needsDepthwise = needsDepthwise
    index = GraphIndex(graph)
  }

  mutating func run() {
    for number in graph.nodes.indices where !removed.contains(number) && index.isOpen(number) {
      let node = graph.nodes[number]
      guard node.results.first.map({ graph.types[Int($0)].dtype == .float32 }) ?? false else {
        continue
      }
      if node.operation is ChannelMoments && !node.isBackward { fuseForward(number) }
      if node.operation is BatchNormBackward { fuseBackward(number) }
    }
    graph.nodes = graph.nodes.indices.compactMap { number in
      replacements[number] ?? (removed.contains(number) ? nil : graph.nodes[number])
    }
  }

  // MARK: The chain

  /// What a pointwise convolution's input comes from.
  private struct Chain {
    var shape: FusedConvolutionShape
    var source: FusedSource
    /// x, moments, depthwise weight.
    var operands: [Int32]
    /// The nodes between the source and that input.
    var nodes: [Int]
  }

  /// Follows t back through the depthwise convolution and the ReLU to the input.
  private func chain(to t: Int32) -> Chain? {
    guard let number = index.maker(of: t) else { return nil }
    let maker = graph.nodes[number]
    if let convolution = maker.operation as? Conv2d {
      let (x, w) = (graph.types[Int(maker.operands[0])], graph.types[Int(maker.operands[1])])
      let g = convolution.geometry
      guard g.groups == x.shape[1], w.shape[0] == x.shape[1], w.shape[1] == 1, g.groups > 1,
        g.strideH == g.strideW, g.padH == g.padW, g.dilationH == g.dilationW
      else { return nil }
      var shape = FusedConvolutionShape(hasDepthwise: true)
      (shape.kernelH, shape.kernelW) = (w.shape[2], w.shape[3])
      (shape.stride, shape.pad, shape.dilation) = (g.strideH, g.padH, g.dilationH)
      return input(of: maker.operands[0], shape).map { chain in
        var chain = chain
        chain.operands.append(maker.operands[1])
        chain.nodes.append(number)
        return chain
      }
    }
    guard !needsDepthwise else { return nil }
    return input(of: t, FusedConvolutionShape(hasDepthwise: false))
  }

  /// The operand of the ReLU that makes `r`, normalised on load where a batch norm makes it.
  private func input(of r: Int32, _ shape: FusedConvolutionShape) -> Chain? {
    guard let relu = index.maker(of: r), (graph.nodes[relu].operation as? Unary)?.kind == .relu
    else { return nil }
    let x = graph.nodes[relu].operands[0]
    if let normalize = index.maker(of: x),
      let operation = graph.nodes[normalize].operation as? Normalize,
      operation.isOfBatch, !operation.isAffine, !index.roots.contains(x)
    {
      return Chain(
        shape: shape, source: FusedSource(hasMoments: true, epsilon: operation.epsilon),
        operands: graph.nodes[normalize].operands, nodes: [normalize, relu])
    }
    return Chain(shape: shape, source: FusedSource(), operands: [x], nodes: [relu])
  }

  private func isPointwise(_ geometry: ConvolutionGeometry, _ weight: Int32) -> Bool {
    let w = graph.types[Int(weight)].shape
    return geometry.groups == 1 && geometry.strideH == 1 && geometry.strideW == 1
      && geometry.padH == 0 && geometry.padW == 0 && w[2] == 1 && w[3] == 1
  }

  // MARK: Forward

  private mutating func fuseForward(_ number: Int) {
    let moments = graph.nodes[number]
    let y = moments.operands[0]
    guard let at = index.maker(of: y), let convolution = graph.nodes[at].operation as? Conv2d,
      isPointwise(convolution.geometry, graph.nodes[at].operands[1]),
      let chain = chain(to: graph.nodes[at].operands[0]), replacements[at] == nil,
      index.areTogether([number, at] + chain.nodes)
    else { return }
    replacements[at] = Graph.Node(
      operation: ReluDepthwisePointwise(source: chain.source, shape: chain.shape),
      operands: chain.operands + [graph.nodes[at].operands[1]], results: [y] + moments.results,
      scalars: [], isBackward: false, origin: graph.nodes[at].origin,
      barrier: graph.nodes[at].barrier)
    removed.insert(number)
  }

  // MARK: Backward

  /// The users of a value if they are all of the given kinds.
  private func users<A: Operation, B: Operation>(
    of value: Int32, _ a: A.Type, _ b: B.Type
  ) -> (a: Int?, b: Int?)? {
    guard !index.roots.contains(value) else { return nil }
    var found: (a: Int?, b: Int?) = (nil, nil)
    for user in index.users(of: value) {
      if graph.nodes[user].operation is A, found.a == nil {
        found.a = user
      } else if graph.nodes[user].operation is B, found.b == nil {
        found.b = user
      } else {
        return nil
      }
    }
    return found
  }

  private mutating func fuseBackward(_ number: Int) {
    let norm = graph.nodes[number]
    guard let operation = norm.operation as? BatchNormBackward,
      let first = users(of: norm.results[0], Conv2dBackwardInput.self, Conv2dBackwardWeight.self),
      let at = first.a, let inward = graph.nodes[at].operation as? Conv2dBackwardInput,
      graph.nodes[at].operands[0] == norm.results[0],
      isPointwise(inward.geometry, graph.nodes[at].operands[1])
    else { return }
    let pointwise = graph.nodes[at].operands[1]
    let dt = graph.nodes[at].results[0]
    var matched = [at] + (first.b.map { [$0] } ?? [])
    var weightGradients: [Int32] = []
    var mask: Int?
    var chain: Chain?
    if let second = users(of: dt, Conv2dBackwardInput.self, Conv2dBackwardWeight.self),
      let inner = second.a, graph.nodes[inner].operands[0] == dt
    {
      // The weights' gradients are wanted for both convolutions or for none.
      guard (first.b == nil) == (second.b == nil) else { return }
      matched += [inner] + (second.b.map { [$0] } ?? [])
      mask = maskOnly(graph.nodes[inner].results[0])
      guard let mask else { return }
      chain = depthwiseChain(graph.nodes[inner], r: graph.nodes[mask].operands[1])
      if let b = second.b {
        guard graph.nodes[b].operands[0] == graph.nodes[mask].operands[1],
          graph.nodes[b].operands[1] == dt
        else { return }
        weightGradients.append(graph.nodes[b].results[0])
      }
    } else {
      mask = maskOnly(dt)
      guard let mask else { return }
      chain = input(
        of: graph.nodes[mask].operands[1],
        FusedConvolutionShape(hasDepthwise: false))
    }
    guard let chain, let mask, isOwnResult(norm.operands[0], pointwise, chain) else { return }
    if let b = first.b { weightGradients.append(graph.nodes[b].results[0]) }
    matched.append(mask)
    guard index.areTogether([number] + matched) else { return }
    let branch = ReluDepthwisePointwiseBackward.Branch(
      shape: chain.shape, isAffine: operation.isAffine, wantsWeights: first.b != nil,
      epsilon: operation.epsilon)
    replacements[number] = Graph.Node(
      operation: ReluDepthwisePointwiseBackward(source: chain.source, branches: [branch]),
      operands: chain.operands + [pointwise, norm.operands[0], norm.operands[2], norm.operands[3]]
        + [norm.operands[4]] + (operation.isAffine ? [norm.operands[5]] : []) + [norm.operands[1]],
      results: graph.nodes[mask].results + weightGradients, scalars: [], isBackward: true,
      origin: norm.origin, barrier: norm.barrier)
    removed.formUnion(matched)
  }

  /// The ReLU mask that is the only user of a value.
  private func maskOnly(_ value: Int32) -> Int? {
    guard let user = index.onlyUser(of: value),
      (graph.nodes[user].operation as? Binary)?.kind == .reluMask,
      graph.nodes[user].operands[0] == value
    else { return nil }
    return user
  }

  private func depthwiseChain(_ inward: Graph.Node, r: Int32) -> Chain? {
    guard let operation = inward.operation as? Conv2dBackwardInput else { return nil }
    let (g, w) = (operation.geometry, graph.types[Int(inward.operands[1])].shape)
    guard g.groups > 1, g.groups == operation.shape[1], w[0] == operation.shape[1], w[1] == 1,
      g.strideH == g.strideW, g.padH == g.padW, g.dilationH == g.dilationW
    else { return nil }
    var shape = FusedConvolutionShape(hasDepthwise: true)
    (shape.kernelH, shape.kernelW) = (w[2], w[3])
    (shape.stride, shape.pad, shape.dilation) = (g.strideH, g.padH, g.dilationH)
    return input(of: r, shape).map { chain in
      var chain = chain
      chain.operands.append(inward.operands[1])
      return chain
    }
  }

  /// Whether `y` is what the chain and the pointwise weight make: the backward computes from them.
  private func isOwnResult(_ y: Int32, _ pointwise: Int32, _ chain: Chain) -> Bool {
    guard let at = index.maker(of: y) else { return false }
    let maker = replacements[at] ?? graph.nodes[at]
    if let fused = maker.operation as? ReluDepthwisePointwise {
      return fused.shape == chain.shape && fused.source == chain.source
        && maker.operands == chain.operands + [pointwise]
    }
    return false
  }
}
