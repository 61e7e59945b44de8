/// A cell of ENAS' micro space: nodes, and a 1x1 convolution over those that no other node reads.
final class ENASMicroCell: MutableScope, Prunable {
  private let reduce0: FactorizedReduce?
  private let reduce1: FactorizedReduce?
  private let calibrate0: (any Layer)?
  private let calibrate1: (any Layer)?
  private let nodes: [ENASMicroNode]
  /// Of each input and node its part of the last convolution; a pruned cell has those it uses.
  private var last: [Conv2d?]
  private let norm: BatchNorm2d

  /// The probability with which an operation other than the identity is dropped while training.
  var dropPathRate: Float = 0 {
    didSet { for branch in nodes.flatMap(\.branches) { branch.dropPath.rate = dropPathRate } }
  }

  init(
    _ beforeLast: Int, _ last: Int, _ channels: Int, nodes: Int, reduces: Bool, affine: Bool
  ) {
    func calibration(_ from: Int) -> (any Layer)? {
      reduces || from == channels
        ? nil : ENASOperations.calibration(from, channels, affine: affine)
    }
    func reduction(_ from: Int) -> FactorizedReduce? {
      reduces ? FactorizedReduce(from, channels, affine: affine, activates: false) : nil
    }
    let kind = reduces ? "reduce" : "normal"
    (reduce0, reduce1) = (reduction(beforeLast), reduction(last))
    (calibrate0, calibrate1) = (calibration(beforeLast), calibration(last))
    self.nodes = (0..<nodes).map { ENASMicroNode($0, channels, kind: kind) }
    self.last = (0..<nodes + 2).map { _ in Conv2d(channels, channels, kernelSize: 1, bias: false) }
    norm = BatchNorm2d(channels, affine: affine)
    super.init(key: kind)
  }

  /// The outputs of the two cells before → what the next cell gets of them, the second input and the
  /// output, at half the size behind a reduction.
  func callAsFunction(_ beforeLast: Tensor, _ last: Tensor) -> (Tensor, Tensor) {
    scoped {
      let s0 = reduce0?(beforeLast) ?? beforeLast
      let s1 = reduce1?(last) ?? last
      var states = [calibrate0?(s0) ?? s0, calibrate1?(s1) ?? s1]
      var isRead = [Bool](repeating: false, count: nodes.count + 2)
      for node in nodes {
        let (sum, taken) = node(states)
        for index in taken { isRead[index] = true }
        states.append(sum)
      }
      return (s1, norm(looseEnds(states, isRead)))
    }
  }

  /// The sum over what no node reads of its part of the convolution.
  ///
  /// Where inputs are sampled, which parts there are is data: each is planned by itself, and those left
  /// out are exact zeros.
  private func looseEnds(_ states: [Tensor], _ isRead: [Bool]) -> Tensor {
    guard nodes[0].isSampled else {
      return addAll(states.indices.filter { !isRead[$0] }.map { end($0, states[$0]) })
    }
    return addAll(
      states.indices.map { index in
        ChoiceMarks.begin(key: "\(key)_end", inputs: [states[index]])
        defer { ChoiceMarks.end(key: "\(key)_end") }
        return isRead[index]
          ? ChoiceMarks.absent(like: states[index])
          : ChoiceMarks.leave(end(index, states[index]), carriesGradient: true)
      })
  }

  private func end(_ index: Int, _ state: Tensor) -> Tensor {
    guard let part = last[index] else {
      preconditionFailure("state \(index) of an ENAS cell was pruned and is not read")
    }
    return part(relu(state))
  }

  /// Forgets the convolution's parts for what some node reads.
  func prune() {
    for index in Set(nodes.flatMap(\.branches).flatMap { $0.input.applied?.active ?? [] }) {
      last[index] = nil
    }
  }
}

/// The sum of two operations on two earlier nodes.
final class ENASMicroNode: MutableScope {
  let branches: [ENASMicroBranch]

  init(_ number: Int, _ channels: Int, kind: String) {
    let key = "\(kind)_node_\(number)"
    let inputs =
      [InputChoice.noKey, InputChoice.noKey] + (0..<number).map { "\(kind)_node_\($0)" }
    branches = ["x", "y"].map { ENASMicroBranch("\(key)_\($0)", inputs, channels) }
    super.init(key: key)
  }

  /// Whether which input is taken is data.
  var isSampled: Bool { branches[0].input.box.decision?.kind == .sampled }

  /// The cell's inputs and the nodes before → the node, and which of them it takes.
  func callAsFunction(_ states: [Tensor]) -> (sum: Tensor, taken: [Int]) {
    scoped {
      let results = branches.map { $0(states) }
      return (addAll(results.map(\.output)), results.flatMap(\.taken))
    }
  }
}

/// One operation on one earlier node.
final class ENASMicroBranch: Module {
  let input: InputChoice
  private let operation: LayerChoice
  let dropPath = DropPath()

  init(_ key: String, _ inputs: [String], _ channels: Int) {
    input = InputChoice(chooseFrom: inputs, chosenCount: 1, key: "\(key)_input")
    operation = LayerChoice(
      named: ENASOperations.micro.map { ($0, ENASOperations.operation($0, channels)) },
      key: "\(key)_op", synonyms: [:], integerNames: ENASOperations.micro)
  }

  /// The cell's inputs and the nodes before → the result, and which of them it takes.
  func callAsFunction(_ states: [Tensor]) -> (output: Tensor, taken: [Int]) {
    let (chosen, mask) = input.withMask(states)
    guard let chosen else { preconditionFailure("a node of an ENAS cell has no input") }
    let result = operation(chosen)
    let isIdentity = operation.applied != nil && operation.candidates.first?.layer is Identity
    return (
      dropPath.rate > 0 && !isIdentity ? dropPath(result) : result,
      mask.flags.indices.filter { mask.flags[$0] }
    )
  }
}
