extension Pass {
  /// Runs ReLU, depthwise and pointwise convolution and their batch norm's moments image by image.
  ///
  /// What the backward needs of the chain is computed again there, so neither the ReLU's nor the
  /// depthwise result is kept.
  static let fuseReluDepthwisePointwise = Pass(name: "fuse-relu-depthwise-pointwise") { graph in
    var matcher = ReluDepthwisePointwiseMatcher(graph)
    matcher.run()
    graph = matcher.graph
  }
}

/// Finds the chains and puts the fused operations in their place.
private struct ReluDepthwisePointwiseMatcher {
  var graph: Graph
  private var makers: [Int32: Int] = [:]
  private var users: [Int32: [Int]] = [:]
  private var fixed: Set<Int32>
  private var removed: Set<Int> = []
  private var replacements: [Int: Graph.Node] = [:]

  init(_ graph: Graph) {
    self.graph = graph
    fixed = Set(graph.roots)
    for (index, node) in graph.nodes.enumerated() {
      // What stands behind a barrier is left as it is.
      if node.barrier == 0 { for result in node.results { makers[result] = index } }
      for operand in Set(node.operands) { users[operand, default: []].append(index) }
    }
  }

  mutating func run() {
    for index in graph.nodes.indices
    where !removed.contains(index) && graph.nodes[index].barrier == 0 {
      let node = graph.nodes[index]
      guard node.results.first.map({ graph.types[Int($0)].dtype == .float32 }) ?? false else {
        continue
      }
      if node.operation is ChannelMoments && !node.isBackward { fuseForward(index) }
      if node.operation is BatchNormBackward { fuseBackward(index) }
    }
    graph.nodes = graph.nodes.indices.compactMap { index in
      replacements[index] ?? (removed.contains(index) ? nil : graph.nodes[index])
    }
  }

  // MARK: The chain

  /// What a pointwise convolution's input comes from.
  private struct Chain {
    var shape: FusedConvolutionShape
    /// x, moments, depthwise weight.
    var operands: [Int32]
    var epsilon: Scalar
  }

  private func node(making value: Int32) -> Graph.Node? { makers[value].map { graph.nodes[$0] } }

  /// Follows t back through the depthwise convolution and the ReLU to the input.
  private func chain(to t: Int32) -> Chain? {
    guard let maker = node(making: t) else { return nil }
    if let convolution = maker.operation as? Conv2d {
      let (x, w) = (graph.types[Int(maker.operands[0])], graph.types[Int(maker.operands[1])])
      let g = convolution.geometry
      guard g.groups == x.shape[1], w.shape[0] == x.shape[1], w.shape[1] == 1, g.groups > 1,
        g.strideH == g.strideW, g.padH == g.padW, g.dilationH == g.dilationW
      else { return nil }
      var shape = FusedConvolutionShape(hasInputMoments: false, hasDepthwise: true)
      (shape.kernelH, shape.kernelW) = (w.shape[2], w.shape[3])
      (shape.stride, shape.pad, shape.dilation) = (g.strideH, g.padH, g.dilationH)
      return input(of: maker.operands[0], shape).map { chain in
        var chain = chain
        chain.operands.append(maker.operands[1])
        return chain
      }
    }
    return input(of: t, FusedConvolutionShape(hasInputMoments: false, hasDepthwise: false))
  }

  /// The operand of the ReLU that makes `r`, normalised on load where a batch norm makes it.
  private func input(of r: Int32, _ shape: FusedConvolutionShape) -> Chain? {
    guard let relu = node(making: r), (relu.operation as? Unary)?.kind == .relu else { return nil }
    let x = relu.operands[0]
    if let normalize = node(making: x), let operation = normalize.operation as? Normalize,
      operation.isOfBatch, !operation.isAffine, !fixed.contains(x)
    {
      var shape = shape
      shape.hasInputMoments = true
      return Chain(
        shape: shape, operands: normalize.operands, epsilon: normalize.scalars[0])
    }
    return Chain(shape: shape, operands: [x], epsilon: Scalar(Float(0)))
  }

  private func isPointwise(_ geometry: ConvolutionGeometry, _ weight: Int32) -> Bool {
    let w = graph.types[Int(weight)].shape
    return geometry.groups == 1 && geometry.strideH == 1 && geometry.strideW == 1
      && geometry.padH == 0 && geometry.padW == 0 && w[2] == 1 && w[3] == 1
  }

  // MARK: Forward

  private mutating func fuseForward(_ index: Int) {
    let moments = graph.nodes[index]
    let y = moments.operands[0]
    guard let at = makers[y], let convolution = graph.nodes[at].operation as? Conv2d,
      isPointwise(convolution.geometry, graph.nodes[at].operands[1]),
      let chain = chain(to: graph.nodes[at].operands[0]), replacements[at] == nil
    else { return }
    replacements[at] = Graph.Node(
      operation: ReluDepthwisePointwise(shape: chain.shape),
      operands: chain.operands + [graph.nodes[at].operands[1]], results: [y] + moments.results,
      scalars: [chain.epsilon], isBackward: false, origin: graph.nodes[at].origin)
    removed.insert(index)
  }

  // MARK: Backward

  /// The users of a value if they are all of the given kinds.
  private func users<A: Operation, B: Operation>(
    of value: Int32, _ a: A.Type, _ b: B.Type
  ) -> (a: Int?, b: Int?)? {
    guard !fixed.contains(value) else { return nil }
    var found: (a: Int?, b: Int?) = (nil, nil)
    for user in users[value] ?? [] {
      guard graph.nodes[user].barrier == 0 else { return nil }
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

  private mutating func fuseBackward(_ index: Int) {
    let norm = graph.nodes[index]
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
        FusedConvolutionShape(hasInputMoments: false, hasDepthwise: false))
    }
    guard let chain, let mask, isOwnResult(norm.operands[0], pointwise, chain) else { return }
    if let b = first.b { weightGradients.append(graph.nodes[b].results[0]) }
    matched.append(mask)
    replacements[index] = Graph.Node(
      operation: ReluDepthwisePointwiseBackward(
        shape: chain.shape, isAffine: operation.isAffine, wantsInput: true,
        wantsWeights: first.b != nil),
      operands: chain.operands + [pointwise, norm.operands[0], norm.operands[2], norm.operands[3]]
        + [norm.operands[4]] + (operation.isAffine ? [norm.operands[5]] : []) + [norm.operands[1]],
      results: graph.nodes[mask].results + weightGradients,
      scalars: [chain.epsilon, norm.scalars[0]], isBackward: true, origin: norm.origin)
    removed.formUnion(matched)
  }

  /// The ReLU mask that is the only user of a value.
  private func maskOnly(_ value: Int32) -> Int? {
    guard !fixed.contains(value), let list = users[value], list.count == 1,
      graph.nodes[list[0]].barrier == 0,
      (graph.nodes[list[0]].operation as? Binary)?.kind == .reluMask,
      graph.nodes[list[0]].operands[0] == value
    else { return nil }
    return list[0]
  }

  private func depthwiseChain(_ inward: Graph.Node, r: Int32) -> Chain? {
    guard let operation = inward.operation as? Conv2dBackwardInput else { return nil }
    let (g, w) = (operation.geometry, graph.types[Int(inward.operands[1])].shape)
    guard g.groups > 1, g.groups == operation.shape[1], w[0] == operation.shape[1], w[1] == 1,
      g.strideH == g.strideW, g.padH == g.padW, g.dilationH == g.dilationW
    else { return nil }
    var shape = FusedConvolutionShape(hasInputMoments: false, hasDepthwise: true)
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
    guard let at = makers[y] else { return false }
    let maker = replacements[at] ?? graph.nodes[at]
    if let fused = maker.operation as? ReluDepthwisePointwise {
      return fused.shape == chain.shape && maker.operands == chain.operands + [pointwise]
    }
    return false
  }
}
