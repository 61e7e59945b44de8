import CKernels

/// How records are planned.
public enum Planning: String, Sendable {
  /// All passes and fusions.
  case full
  /// Operation by operation.
  case none
  /// Operation by operation in float64 with the scalar kernels: what the others are held to.
  case reference

  /// The option in force; `ESPALIER_PLAN` sets its default.
  @TaskLocal public static var option: Planning = Planning.fromEnvironment

  private static let fromEnvironment =
    environmentVariable("ESPALIER_PLAN").flatMap(Planning.init(rawValue:)) ?? .full
}

/// Makes a plan of one block.
struct Planner {
  let option: Planning
  let abilities: PlanningAbilities

  /// Plans `block` of `recorder`; differentiates it where a gradient is asked for.
  func plan(_ block: Block, of recorder: Recorder) -> Plan {
    let start = monotonicSeconds()
    var graph = symbolic(block, of: recorder)
    if option == .none || option == .reference {
      Pass.dropUnused.apply(&graph)
    } else {
      let passes = [.mergeEqual, .dropUnused] + abilities.fusions + [.dropUnused]
      for pass in passes where !Planner.disabledPasses.contains(pass.name) { pass.apply(&graph) }
    }
    let shortcuts = passesShortcuts ? graph.takeOutShortcuts() : nil
    if shortcuts != nil { Pass.dropUnused.apply(&graph) }
    let isFull = option == .full
    let viewsChannels = abilities.viewsChannels && !Planner.disabledPasses.contains("view-channels")
    return Layouter(
      graph: graph, isReference: option == .reference,
      groupsRows: isFull && !Planner.disabledPasses.contains("group-rows"),
      viewsChannels: isFull && viewsChannels, abilities: abilities,
      shortcuts: shortcuts
    ).plan(startedAt: start)
  }

  private var mergesEqual: Bool {
    option == .full && !Planner.disabledPasses.contains(Pass.mergeEqual.name)
  }

  private var passesShortcuts: Bool {
    option == .full && !Planner.disabledPasses.contains("shortcuts")
  }

  static let disabledPasses: Set<String> = Set(
    (environmentVariable("ESPALIER_DISABLE_PASSES") ?? "").split(separator: ",").map(String.init))

  /// Copies the block into a symbolic record, appends its backward, and reads both as a graph.
  private func symbolic(_ block: Block, of recorder: Recorder) -> Graph {
    let symbolic = Recorder(.planning)
    symbolic.device = block.device
    var map: [Int32: Int32] = [:]
    func addExternal(_ type: TensorType, _ device: Device) -> Tensor {
      let value = Value(type: type, device: device)
      value.epoch = symbolic.epoch
      value.number = Int32(symbolic.values.count)
      symbolic.values.append(value)
      symbolic.producers.append(-1)
      return Tensor(value)
    }
    for operand in block.operands {
      let outer = recorder.values[Int(operand)]
      map[operand] = addExternal(outer.type, outer.device).value.number
    }
    var slot: Int32 = 0
    var equal = mergesEqual ? EqualRecords(results: block.results) : nil
    for index in block.records {
      let outer = recorder.records[Int(index)]
      let operands = (0..<outer.operandCount).map {
        map[recorder.operands[Int(outer.firstOperand + $0)]].unsafelyUnwrapped
      }
      if let known = equal?.find(outer, operands) {
        for r in 0..<outer.resultCount { map[outer.firstResult + r] = known + r }
        continue
      }
      let firstOperand = Int32(symbolic.operands.count)
      symbolic.operands += operands
      let firstScalar = Int32(symbolic.scalars.count)
      for _ in 0..<outer.scalarCount {
        symbolic.scalars.append(Scalar(expression: .slot(slot)))
        slot += 1
      }
      let firstResult = Int32(symbolic.values.count)
      for r in 0..<outer.resultCount {
        let old = recorder.values[Int(outer.firstResult + r)]
        map[outer.firstResult + r] = addExternal(old.type, old.device).value.number
        symbolic.producers[symbolic.producers.count - 1] = Int32(symbolic.records.count)
      }
      equal?.note(outer, operands, firstResult)
      symbolic.records.append(
        Record(
          operation: outer.operation, firstOperand: firstOperand, operandCount: outer.operandCount,
          firstResult: firstResult, resultCount: outer.resultCount, firstScalar: firstScalar,
          scalarCount: outer.scalarCount, traits: outer.traits, barrier: outer.barrier))
    }
    let forwardCount = symbolic.records.count
    symbolic.barrier = symbolic.records.last?.barrier ?? 0
    let local = { (number: Int32) in map[number].unsafelyUnwrapped }
    var upstream: [Int32?] = block.results.map { _ in nil }
    var gradients: [Int32?] = block.operands.map { _ in nil }
    if block.isDifferentiated {
      symbolic.whileCurrent {
        let wanted = zip(block.operands, block.wantsGradient).filter { $0.1 }.map { local($0.0) }
        let needs = Differentiation.dependents(symbolic, 0..<forwardCount, on: wanted)
        var seeds: [Int32: Tensor] = [:]
        for (index, result) in block.results.enumerated() {
          let value = symbolic.values[Int(local(result))]
          if block.lossResult == index {
            seeds[local(result)] = Tensor(ones: value.type.shape, dtype: value.type.dtype)
          } else if block.receivesUpstream[index] {
            let seed = addExternal(value.type, value.device)
            upstream[index] = seed.value.number
            seeds[local(result)] = seed
          }
        }
        let found = Differentiation.append(
          to: symbolic, 0..<forwardCount, seeds: seeds, needs: needs)
        // Each gradient gets a value of its own, made by a backward operation.
        var taken: Set<Int32> = []
        for (index, operand) in block.operands.enumerated() where block.wantsGradient[index] {
          guard let gradient = found[local(operand)] else { continue }
          var number = gradient.value.number
          let producer = symbolic.producers[Int(number)]
          if producer < forwardCount || taken.contains(number) {
            number = record(Copy(carriesGradient: false), gradient).value.number
          }
          taken.insert(number)
          gradients[index] = number
        }
      }
    }
    var graph = Graph()
    graph.types = symbolic.values.map { $0.type }
    graph.operands = block.operands.map(local)
    graph.results = block.results.map(local)
    graph.upstream = upstream
    graph.gradients = gradients
    for (index, record) in symbolic.records.enumerated() {
      let first = Int(record.firstOperand)
      let firstScalar = Int(record.firstScalar)
      graph.nodes.append(
        Graph.Node(
          operation: OperationTable.shared[record.operation],
          operands: (0..<Int(record.operandCount)).map { symbolic.operands[first + $0] },
          results: (0..<record.resultCount).map { record.firstResult + $0 },
          scalars: (0..<Int(record.scalarCount)).map { symbolic.scalars[firstScalar + $0] },
          isBackward: index >= forwardCount, origin: record.operation, barrier: record.barrier))
    }
    return graph
  }
}
