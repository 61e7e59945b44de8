import CKernels

/// Turns a graph into programs: emits the kernel calls and gives every value its place.
///
/// Values from outside, results and gradients lie where the executor says. Of the rest, what the
/// backward reads goes into the frame, everything else into scratch, reused as soon as it is dead.
struct Layouter {
  private var graph: Graph
  private let isReference: Bool
  private let groupsRows: Bool
  private let viewsChannels: Bool
  private let abilities: PlanningAbilities
  private var views = ChannelViews()
  private let shortcuts: Shortcuts?
  /// Values keyed by number; converted operands and results of the reference get numbers beyond.
  private var spaces: [Int32: Int32] = [:]
  private var types: [TensorType]

  init(
    graph: Graph, isReference: Bool, groupsRows: Bool, viewsChannels: Bool,
    abilities: PlanningAbilities, shortcuts: Shortcuts?
  ) {
    self.graph = graph
    self.shortcuts = shortcuts
    self.groupsRows = groupsRows
    self.viewsChannels = viewsChannels
    self.abilities = abilities
    self.isReference = isReference
    types = graph.types
  }

  consuming func plan(startedAt start: Double) -> Plan {
    overwritten = graph.protectOverwritten()
    types = graph.types
    if isReference { convertBorders() }
    let n = graph.operands.count
    let m = graph.results.count
    for (i, v) in graph.operands.enumerated() { spaces[v] = Int32(2 + i) }
    for (i, v) in graph.results.enumerated() { spaces[v] = Int32(2 + n + i) }
    for (i, v) in graph.upstream.enumerated() {
      if let v { spaces[v] = Int32(2 + n + m + i) }
    }
    for (i, v) in graph.gradients.enumerated() {
      if let v { spaces[v] = Int32(2 + n + 2 * m + i) }
    }
    placeUpdates()
    if viewsChannels {
      views = ChannelViews(graph, placed: Set(spaces.keys), overwritten: overwritten)
    }
    var emitted = emitAll()
    if groupsRows {
      emitted = RowGrouping(calls: emitted, parts: views.parts, abilities).grouped()
    }
    let split = emitted.firstIndex { $0.isBackward } ?? emitted.count
    var memory = MemoryAssignment(
      emitted: emitted, split: split, spaces: spaces, types: types, isReference: isReference,
      firstOwnSpace: 2 + 2 * n + 2 * m)
    memory.assign()
    let forward = memory.program(emitted[..<split])
    let handsOn = shortcuts?.gradients.contains { $0 != nil } ?? false
    let backward = split < emitted.count || handsOn ? memory.program(emitted[split...]) : nil
    var reads = [Bool](repeating: false, count: m)
    for call in emitted {
      for operand in call.rows.lazy.flatMap(\.operands) {
        if let space = spaces[operand.number], space >= 2 + n + m, space < 2 + n + 2 * m {
          reads[Int(space) - 2 - n - m] = true
        }
      }
    }
    for case let result? in shortcuts?.gradients ?? [] { reads[result] = true }
    return Plan(
      operandCount: n, resultCount: m, forward: forward, backward: backward,
      frameBytes: memory.frameBytes, ownSpaces: memory.ownSpaces,
      producesGradient: graph.gradients.map { $0 != nil },
      readsUpstream: reads, shortcuts: shortcuts, seconds: monotonicSeconds() - start)
  }

  /// What an in-place operation leaves lies where its operand does.
  private mutating func placeUpdates() {
    for node in graph.nodes {
      for (result, target) in zip(node.results, node.operation.effectTargets) {
        let operand = root(node.operands[target])
        if let space = spaces[operand] { spaces[result] = space } else { aliases[result] = operand }
      }
    }
  }

  /// One kernel call: rows of one kernel that do not depend on each other.
  struct Call {
    var rows: [PendingLaunch]
    var isBackward: Bool
    /// The number of the node that the first row belongs to.
    var node: Int
    /// Values that the node writes: its results, workspaces, and what it updates in place.
    var writes: [Int32] = []
    /// Whether the node updates a variable.
    var isUpdate = false
    /// The node's (`Record.barrier`).
    var barrier: Int32 = 0
  }

  private mutating func emitAll() -> [Call] {
    var calls: [Call] = []
    for (index, node) in graph.nodes.enumerated() {
      var builder = LaunchBuilder(
        operandTypes: node.operands.map { graph.types[Int($0)] },
        resultTypes: node.results.map { graph.types[Int($0)] },
        operandNumbers: node.operands, resultNumbers: node.results, scalars: node.scalars,
        origin: node.origin, isReference: isReference,
        hasThreadScratch: abilities.hasThreadScratch,
        mayAlias: node.results.map { result in
          spaces[result] == nil
            && !(node.operands.first.map { overwritten.contains(root($0)) } ?? false)
        }, operandStrides: node.operands.map(stride), resultStrides: node.results.map(stride),
        isPlaced: node.operands.map {
          views.views[$0].map { $0.isPart && $0.parent == node.results.first } ?? false
        }, isView: node.results.first.map { views.views[$0]?.isPart == false } ?? false)
      node.operation.emit(into: &builder)
      for alias in builder.aliases { aliases[alias.result] = alias.operand }
      for var rows in builder.calls {
        for r in rows.indices {
          for k in rows[r].operands.indices where rows[r].operands[k].number < -1 {
            // Workspaces of all nodes get numbers of their own, beyond the values.
            let own = -2 - Int(rows[r].operands[k].number)
            rows[r].operands[k].number = workspaceNumber(index, own, builder.workspaces[own])
          }
        }
        calls.append(Call(rows: rows, isBackward: node.isBackward, node: index))
      }
    }
    let firstWorkspace = Int32(graph.types.count)
    for k in calls.indices {
      for r in calls[k].rows.indices {
        for j in calls[k].rows[r].operands.indices {
          place(&calls[k].rows[r].operands[j])
        }
      }
      let node = graph.nodes[calls[k].node]
      calls[k].isUpdate = node.operation.hasEffect
      calls[k].barrier = node.barrier
      calls[k].writes =
        node.results.map(dependency)
        + node.operation.effectTargets.map { root(node.operands[$0]) }
        + calls[k].rows.lazy.flatMap(\.operands).map(\.number).filter { $0 >= firstWorkspace }
    }
    return calls
  }

  private var aliases: [Int32: Int32] = [:]
  private var overwritten: Set<Int32> = []
  private var workspaceNumbers: [Int: Int32] = [:]

  private mutating func workspaceNumber(_ node: Int, _ own: Int, _ bytes: Int) -> Int32 {
    let key = node << 8 | own
    if let known = workspaceNumbers[key] { return known }
    // A workspace is a value of plain bytes; in the reference its size was counted already.
    types.append(TensorType([bytes], .bool))
    workspaceNumbers[key] = Int32(types.count - 1)
    return Int32(types.count - 1)
  }

  /// Elements between runs of a value where it lies.
  private func stride(_ number: Int32) -> Int {
    // Not by way of aliases: they have shapes of their own, and what uses a view makes none of it.
    var number = number
    while let view = views.views[number] { number = view.parent }
    return graph.types[Int(number)].runLength
  }

  /// The value that a call waits for which reads `number`: a slice is there when its whole is.
  private func dependency(_ number: Int32) -> Int32 {
    var number = root(number)
    while let view = views.views[number], !view.isPart { number = root(view.parent) }
    return number
  }

  /// Turns a value's number into that of the value it lies in.
  private func place(_ operand: inout Operand) {
    guard operand.number >= 0 else { return }
    operand.dependency = dependency(operand.number)
    operand.number = root(operand.number)
    while let view = views.views[operand.number] {
      operand.elementOffset += view.firstChannel
      operand.number = root(view.parent)
    }
  }

  private func root(_ number: Int32) -> Int32 {
    var number = number
    while let next = aliases[number] { number = next }
    return number
  }

  /// In the reference, float32 values from outside are widened at their first use and results
  /// narrowed after they are made, so that everything between is float64.
  private mutating func convertBorders() {
    var nodes: [Graph.Node] = []
    func isNarrow(_ v: Int32) -> Bool { graph.types[Int(v)].dtype == .float32 }
    var wide: [Int32: Int32] = [:]
    var narrowOf: [Int32: Int32] = [:]
    func convert(_ from: Int32, _ to: Int32, widen: Bool, for node: Graph.Node) -> Graph.Node {
      Graph.Node(
        operation: Widen(isWidening: widen), operands: [from], results: [to], scalars: [],
        isBackward: node.isBackward, origin: -1, barrier: node.barrier)
    }
    let outside = Set(graph.operands + graph.upstream.compactMap { $0 })
    let inside = Set(graph.roots)
    for var node in graph.nodes {
      for k in node.operands.indices
      where outside.contains(node.operands[k]) && isNarrow(node.operands[k]) {
        let v = node.operands[k]
        if wide[v] == nil {
          let new = graph.makeValue(graph.types[Int(v)])
          wide[v] = new
          narrowOf[new] = v
          nodes.append(convert(v, new, widen: true, for: node))
        }
        node.operands[k] = wide[v].unsafelyUnwrapped
      }
      let isUpdate = node.operation.hasEffect
      let narrowed = isUpdate ? [] : node.results.filter { inside.contains($0) && isNarrow($0) }
      for v in narrowed {
        let new = graph.makeValue(graph.types[Int(v)])
        wide[v] = new
        node.results = node.results.map { $0 == v ? new : $0 }
      }
      node.operands = node.operands.map { wide[$0] ?? $0 }
      let targets = node.operation.effectTargets.map { node.operands[$0] }
      nodes.append(node)
      for v in narrowed {
        nodes.append(convert(wide[v].unsafelyUnwrapped, v, widen: false, for: node))
      }
      for (index, target) in targets.enumerated() {
        // Narrow into the variable; what reads the new contents here reads the wide ones.
        if let original = narrowOf[target] {
          nodes.append(convert(target, original, widen: false, for: node))
          wide[node.results[index]] = target
          narrowOf[target] = original
        }
      }
    }
    graph.nodes = nodes
    types = graph.types
  }
}
