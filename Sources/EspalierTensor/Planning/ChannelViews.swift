/// Values that lie inside others, as some channels of each pixel: what is concatenated is written
/// straight into its slice, and a slice of channels is read where it is.
struct ChannelViews {
  /// Where a value lies.
  struct View {
    var parent: Int32
    var firstChannel: Int
    /// Whether the value is written there (part of a concatenation) or only read (a slice).
    var isPart: Bool
  }

  private(set) var views: [Int32: View] = [:]
  /// The parts of each concatenation that are written into it.
  private(set) var parts: [Int32: [Int32]] = [:]

  /// No views.
  init() {}

  /// - Parameters:
  ///   - placed: Values that have a place: those from outside and those that leave the block.
  ///   - overwritten: Values that are updated in place.
  init(_ graph: Graph, placed: Set<Int32>, overwritten: Set<Int32>) {
    let fixed = placed.union(overwritten)
    let index = GraphIndex(graph)
    for node in graph.nodes {
      if let join = node.operation as? any Joins, join.axis == 1 {
        placeParts(node, index, fixed)
      } else if let slice = node.operation as? any TakesPart,
        !overwritten.contains(node.operands[0])
      {
        view(node, slice, index, fixed)
      }
    }
  }

  private func isImage(_ type: TensorType) -> Bool {
    type.shape.rank == 4 && type.layout == .standard
  }

  /// Whether everything that uses a value can read it with a pixel stride of its own.
  private func isReadStrided(_ value: Int32, _ index: GraphIndex) -> Bool {
    !index.roots.contains(value)
      && index.users(of: value).allSatisfy {
        type(of: index.graph.nodes[$0].operation).readsPixelStride
      }
  }

  private mutating func placeParts(_ node: Graph.Node, _ index: GraphIndex, _ fixed: Set<Int32>) {
    let whole = node.results[0]
    guard isImage(index.graph.types[Int(whole)]) else { return }
    var channel = 0
    for value in node.operands {
      defer { channel += index.graph.types[Int(value)].shape[1] }
      guard views[value] == nil, !fixed.contains(value), isReadStrided(value, index),
        node.operands.filter({ $0 == value }).count == 1,
        let maker = index.maker(of: value).map({ index.graph.nodes[$0] }),
        type(of: maker.operation).writesPixelStride
      else { continue }
      views[value] = View(parent: whole, firstChannel: channel, isPart: true)
      parts[whole, default: []].append(value)
    }
  }

  private mutating func view(
    _ node: Graph.Node, _ slice: any TakesPart, _ index: GraphIndex, _ fixed: Set<Int32>
  ) {
    let (from, to) = (node.operands[0], node.results[0])
    let (whole, part) = (index.graph.types[Int(from)], index.graph.types[Int(to)])
    guard isImage(whole), isImage(part), !fixed.contains(to), isReadStrided(to, index),
      let channel = slice.firstChannel(of: whole.shape)
    else { return }
    views[to] = View(parent: from, firstChannel: channel, isPart: false)
  }
}
