/// What leaves a block as it came in, or as exact zero: nothing computes it, and the flush only notes
/// where it lies.
struct Shortcuts {
  enum Source: Equatable {
    /// An operand of the block, by index.
    case operand(Int)
    case zero
  }

  /// By result.
  var results: [Source?]
  /// By operand: the result whose upstream gradient is its gradient; none is named twice.
  var gradients: [Int?]
}

extension Graph {
  /// Takes out the copies that only hand on an operand, a zero or an upstream gradient, and those of
  /// a value that can be made where it is to lie.
  ///
  /// What leaves a sampled choice is always a new value, so a skip is such a copy, there and back.
  mutating func takeOutShortcuts() -> Shortcuts {
    var found = Shortcuts(
      results: results.map { _ in nil }, gradients: gradients.map { _ in nil })
    var makers: [Int32: Int] = [:]
    var written: Set<Int32> = []
    for (index, node) in nodes.enumerated() {
      for result in node.results { makers[result] = index }
      for target in node.operation.effectTargets { written.insert(node.operands[target]) }
    }
    /// What a value is a copy of.
    func source(_ value: Int32) -> Int32 {
      var value = value
      while let maker = makers[value],
        (nodes[maker].operation as? any HandsOn)?.mayShareMemory == true
      {
        value = nodes[maker].operands[0]
      }
      return value
    }
    var replacement: [Int32: Int32] = [:]
    var copies: Set<Int> = []
    var roots = Set(roots)
    for (index, result) in results.enumerated() where isMadeOnce(result) {
      let from = source(result)
      guard from != result, !written.contains(from) else { continue }
      if let operand = operands.firstIndex(of: from) {
        found.results[index] = .operand(operand)
      } else if let maker = makers[from],
        (nodes[maker].operation as? any GivesConstant)?.isZero == true
      {
        found.results[index] = .zero
      } else if let maker = makers[from], !nodes[maker].operation.hasEffect,
        roots.insert(from).inserted
      {
        // What makes the value makes the result itself.
        for k in nodes[maker].results.indices where nodes[maker].results[k] == from {
          nodes[maker].results[k] = result
        }
        copies.insert(makers[result] ?? -1)
        replacement[from] = result
        continue
      } else {
        continue
      }
      copies.insert(makers[result] ?? -1)
      replacement[result] = from
    }
    var taken: Set<Int> = []
    for (index, gradient) in gradients.enumerated() {
      guard let gradient, let result = upstream.firstIndex(of: source(gradient)),
        taken.insert(result).inserted
      else { continue }
      found.gradients[index] = result
      copies.insert(makers[gradient] ?? -1)
      replacement[gradient] = upstream[result]
    }
    guard !replacement.isEmpty else { return found }
    nodes = nodes.indices.compactMap { copies.contains($0) ? nil : nodes[$0] }
    for index in nodes.indices {
      for k in nodes[index].operands.indices {
        let operand = nodes[index].operands[k]
        nodes[index].operands[k] = replacement[operand] ?? operand
      }
    }
    return found
  }

  private func isMadeOnce(_ result: Int32) -> Bool {
    results.lazy.filter { $0 == result }.count == 1
  }
}
