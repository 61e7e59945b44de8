@testable import Espalier

/// A convolution that keeps the size.
private func conv(_ from: Int, _ to: Int, _ size: Int, bias: Bool = true) -> Conv2d {
  Conv2d(
    from, to, kernelSize: IntPair(size, size), padding: IntPair(size / 2, size / 2), bias: bias)
}

/// Nets of 1x4x4 images whose costs are easily counted by hand or by pruning.
enum CostNets {
  static let image = ImageShape(channels: 1, height: 4, width: 4)

  /// A choice inside a candidate, one of the same key inside that, and a layer used twice.
  static func nested() -> any Layer {
    let inner = LayerChoice(["one": conv(2, 2, 1), "three": conv(2, 2, 3)], key: "inner")
    let same = LayerChoice(["plain": conv(2, 2, 3, bias: false), "deep": Identity()], key: "outer")
    let outer = LayerChoice(
      ["plain": conv(1, 2, 3), "deep": Sequential(conv(1, 2, 1), inner, same)], key: "outer")
    let twice = LayerChoice(["conv": conv(2, 2, 1), "skip": Identity()], key: "twice")
    let classifier = Linear(2, 3)
    return Model(["outer": outer, "twice": twice, "classifier": classifier]) { x in
      classifier(globalAveragePool2d(twice(twice(outer(x)))).flattened())
    }
  }

  /// Three edges of which a switch takes two; no candidate costs nothing.
  static func switched() -> any Layer {
    let edges = (0..<3).map { number in
      LayerChoice(
        ["one": conv(1, 2, 1), "three": conv(1, 2, 3, bias: number > 0)], key: "edge\(number)")
    }
    let node = InputChoice(chooseFrom: edges.compactMap(\.explicitKey), chosenCount: 2, key: "node")
    let after = LayerChoice(["conv": conv(2, 2, 3), "skip": Identity()], key: "after")
    return Model([
      "edge0": edges[0], "edge1": edges[1], "edge2": edges[2], "node": node, "after": after,
    ]) { x in after(node(edges.map { $0(x) }) ?? x) }
  }

  /// Runs a convolution only where an input choice takes something.
  static func conditional() -> any Layer {
    let first = LayerChoice(["one": conv(1, 2, 1), "three": conv(1, 2, 3)], key: "first")
    let skip = InputChoice(candidateCount: 2, key: "skip")
    let extra = conv(2, 2, 3)
    return Model(["first": first, "skip": skip, "extra": extra]) { x in
      let y = first(x)
      return skip([y, y]).map { extra($0) + y } ?? y
    }
  }

  /// Two candidates of different choices that share a layer.
  static func sharing() -> any Layer {
    let shared = conv(1, 1, 3)
    let a = LayerChoice(["shared": shared, "skip": Identity()], key: "a")
    let b = LayerChoice(["shared": shared, "skip": Identity()], key: "b")
    return Model(["a": a, "b": b]) { b(a($0)) }
  }
}

/// Every architecture of a small space, edges that are not taken left out, each way of deciding once.
func allArchitectures(_ space: SearchSpace) -> [[String: ResolvedChoice]] {
  var all: [[String: ResolvedChoice]] = [[:]]
  for choice in space.choices {
    let count = choice.candidateNames.count
    let ways: [[Int]] =
      choice.kind == .input
      ? (0..<1 << count).map { mask in (0..<count).filter { mask >> $0 & 1 == 1 } }
        .filter { choice.chosenCount == nil || choice.chosenCount == $0.count }
      : (0..<count).map { [$0] }
    all = all.flatMap { partial in
      ways.map { partial.merging([choice.key: ResolvedChoice(active: $0)]) { $1 } }
    }
  }
  return all
}

/// The cost of a network with an architecture applied to it.
func prunedCost(
  _ choices: [String: ResolvedChoice], _ space: SearchSpace, _ image: ImageShape,
  _ make: () throws -> any Layer
) throws -> ModelCost {
  func measure(_ net: some Layer) -> ModelCost { ModelCost(of: net, image: image) }
  let net = try make()
  try net.apply(Architecture(space.withoutUnusedEdges(choices), in: space.choices))
  return measure(net)
}

/// The space of a net for images of a shape.
func space(of net: any Layer, _ image: ImageShape) throws -> SearchSpace {
  func open(_ net: some Layer) throws -> SearchSpace {
    try SearchSpace(of: net, input: [image.channels, image.height, image.width])
  }
  return try open(net)
}
