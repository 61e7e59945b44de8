import Foundation

/// The recurrent network that proposes architectures for ENAS, several at a time.
///
/// One LSTM without biases walks the choices in the order of declaration; what was decided is its
/// next input. A layer choice is a softmax over its candidates; an input choice is attention over
/// what was decided at its sources, one coin a source or, for a fixed number, draws without
/// replacement. Choices of the same candidates share their head and embedding. Everything of a pass
/// is one record without reads: actions come out of noise that is handed in, or are handed in
/// themselves.
final class ENASController {
  /// What the walk meets.
  enum Event: Equatable {
    /// A choice, each key once.
    case choose(ChoiceDescription)
    /// The end of a scope of the given key.
    case leave(String)
  }
  /// Sizes and temperatures.
  struct Settings: Equatable {
    /// Units of the LSTM.
    var hidden = 64
    /// Logits are divided by it.
    var temperature: Float = 1
    /// Logits are `t · tanh(logit)`; 0: as they are.
    var tanhConstant: Float = 1.5
    /// The share of sources that the penalty pulls input choices of any number to.
    var skipTarget = 0.4
  }
  /// What a pass gives; B architectures.
  struct Pass {
    /// One-hot rows of all decisions beside each other, `[B, width]`.
    var actions: Tensor
    /// The probability of each of these at its decision, `[B, width]`.
    var probabilities: Tensor
    /// `−log p` of the whole architecture, `[B]`.
    var negativeLogLikelihood: Tensor
    /// Sum over decisions of the exact entropy given what was decided before, `[B]`.
    var entropy: Tensor
    /// Mean over input choices of any number of KL(p ‖ skipTarget), summed over sources, `[B]`.
    var skipPenalty: Tensor
  }
  /// Where actions come from.
  enum Source {
    /// Gumbel and logistic noise, `[B, width]`.
    case noise(Tensor)
    /// Actions of an earlier pass, `[B, width]`.
    case actions(Tensor)
  }

  /// One decision's place among the columns.
  private struct Slot {
    var choice: ChoiceDescription
    /// Candidates that may be decided, as positions.
    var candidates: [Int]
    var columns: Range<Int>
    /// Softmax draws in a row; nil: independent coins.
    var draws: Int?
  }

  private let settings: Settings
  private let events: [Event]
  private var slots: [String: Slot] = [:]
  /// Columns of all decisions.
  let width: Int
  private let cell: Parameter
  private let start: Parameter
  private let anchorWeight: Parameter
  private let queryWeight: Parameter
  private let attention: Parameter
  /// Heads and embeddings `[candidates, hidden]` by candidate list.
  private var heads: [[String]: (output: Parameter, embedding: Parameter)] = [:]
  /// Everything that learns, by name.
  private(set) var parameters: [(name: String, parameter: Parameter)] = []

  /// A controller over the choices of a space, with weights uniform in ±0.1.
  init(_ space: SearchSpace, _ settings: Settings, _ generator: inout SeededGenerator) {
    self.settings = settings
    events = ENASController.events(of: space)
    let size = settings.hidden
    var made: [(String, Parameter)] = []
    func parameter(_ name: String, _ shape: Shape) -> Parameter {
      let values = (0..<shape.count).map { _ in
        Float.random(in: -0.1...0.1, using: &generator)
      }
      let parameter = Parameter(values, shape: shape)
      made.append((name, parameter))
      return parameter
    }
    cell = parameter("cell", [2 * size, 4 * size])
    start = parameter("start", [1, size])
    anchorWeight = parameter("anchor", [size, size])
    queryWeight = parameter("query", [size, size])
    attention = parameter("attention", [size, 1])
    var column = 0
    for choice in space.choices {
      var slot = Slot(
        choice: choice, candidates: Array(choice.candidateNames.indices), columns: 0..<0, draws: 1)
      if choice.kind == .input {
        slot.draws = choice.chosenCount
      } else {
        slot.candidates = space.drawable(choice.key, slot.candidates.count)
        let names = slot.candidates.map { choice.candidateNames[$0] }
        if heads[names] == nil {
          let number = heads.count
          heads[names] = (
            parameter("head\(number)", [names.count, size]),
            parameter("embedding\(number)", [names.count, size])
          )
        }
      }
      let count = slot.candidates.count * (slot.draws ?? 1)
      slot.columns = column..<column + count
      column += count
      slots[choice.key] = slot
    }
    width = column
    parameters = made
  }

  /// The walk: modules in the order of declaration, a scope's end behind all that is in it.
  static func events(of space: SearchSpace) -> [Event] {
    var events: [Event] = []
    var open: [(path: String, key: String)] = []
    var seen: Set<String> = []
    func close(until path: String?) {
      while let last = open.last, path.map({ !$0.hasPrefix(last.path + ".") }) ?? true {
        open.removeLast()
        if seen.insert("leave " + last.key).inserted { events.append(.leave(last.key)) }
      }
    }
    for (path, module) in space.model.namedModules {
      close(until: path)
      if let scope = module as? MutableScope { open.append((path, scope.key)) }
      guard let mutable = module as? any Mutable, let key = mutable.box.key else { continue }
      if seen.insert(key).inserted { events.append(.choose(mutable.description(key: key))) }
    }
    close(until: nil)
    return events
  }

  // MARK: A pass

  /// Proposes architectures, or gives the likelihood of proposed ones.
  ///
  /// - Parameter count: B, the number of rows.
  func callAsFunction(_ count: Int, _ source: Source) -> Pass {
    var walk = Walk(self, count)
    for event in events {
      switch event {
      case .leave(let key): walk.anchors[key] = walk.anchors[key] ?? walk.hidden
      case .choose(let choice):
        guard let slot = slots[choice.key] else { continue }
        let given: Tensor
        switch source {
        case .noise(let noise): given = noise.slice(slot.columns, axis: 1)
        case .actions(let actions): given = actions.slice(slot.columns, axis: 1)
        }
        var isForced = false
        if case .actions = source { isForced = true }
        walk.decide(slot.choice, slot.candidates.count, slot.draws, given, isForced: isForced)
      }
    }
    let zero = Tensor(zeros: [count])
    let penalties = walk.penalties
    return Pass(
      actions: concatenate(walk.actions, axis: 1),
      probabilities: concatenate(walk.probabilities, axis: 1),
      negativeLogLikelihood: addAll(walk.likelihoods), entropy: addAll(walk.entropies),
      skipPenalty: penalties.isEmpty ? zero : addAll(penalties) / Float(penalties.count))
  }

  /// The state of one pass.
  private struct Walk {
    let controller: ENASController
    let count: Int
    var input: Tensor
    var hidden: Tensor
    var memory: Tensor
    var anchors: [String: Tensor] = [:]
    var actions: [Tensor] = []
    var probabilities: [Tensor] = []
    var likelihoods: [Tensor] = []
    var entropies: [Tensor] = []
    var penalties: [Tensor] = []

    init(_ controller: ENASController, _ count: Int) {
      self.controller = controller
      self.count = count
      let size = controller.settings.hidden
      input = controller.start.value.broadcast(to: [count, size])
      hidden = Tensor(zeros: [count, size])
      memory = Tensor(zeros: [count, size])
    }

    /// One LSTM step.
    mutating func advance() {
      let size = controller.settings.hidden
      let gates = matmul(concatenate([input, hidden], axis: 1), controller.cell.value)
      func gate(_ number: Int) -> Tensor {
        gates.slice(number * size..<(number + 1) * size, axis: 1)
      }
      memory = sigmoid(gate(1)) * memory + sigmoid(gate(0)) * tanh(gate(3))
      hidden = sigmoid(gate(2)) * tanh(memory)
    }

    func squashed(_ logits: Tensor) -> Tensor {
      let settings = controller.settings
      let x = settings.temperature == 1 ? logits : logits / settings.temperature
      return settings.tanhConstant == 0 ? x : tanh(x) * settings.tanhConstant
    }

    mutating func decide(
      _ choice: ChoiceDescription, _ candidates: Int, _ draws: Int?, _ given: Tensor,
      isForced: Bool
    ) {
      if choice.kind == .input {
        attend(choice, draws, given, isForced: isForced)
      } else {
        advance()
        guard
          let head = controller.heads[
            controller.slots[choice.key]?.candidates.map { choice.candidateNames[$0] } ?? []]
        else { return }
        let logits = squashed(matmul(hidden, head.output.value, transposingB: true))
        let action = draw(logits, given, isForced: isForced)
        input = matmul(action, head.embedding.value)
      }
      anchors[choice.key] = hidden
    }

    /// One softmax draw: its one-hot rows.
    private mutating func draw(_ logits: Tensor, _ given: Tensor, isForced: Bool) -> Tensor {
      let logs = logSoftmax(logits)
      let action =
        isForced
        ? given : (stopGradient(logits) + given).argmax(axis: 1).oneHot(classes: logits.shape[1])
      actions.append(action)
      probabilities.append(exp(logs))
      likelihoods.append(-(action * logs).sum(axes: [1]))
      entropies.append(-(exp(logs) * logs).sum(axes: [1]))
      return action
    }

    private mutating func attend(
      _ choice: ChoiceDescription, _ draws: Int?, _ given: Tensor, isForced: Bool
    ) {
      var sources: [Tensor] = []
      for name in choice.candidateNames {
        if let anchor = anchors[name] {
          sources.append(anchor)
        } else {
          // A source that was not decided about gets a step, and an anchor of its own.
          advance()
          sources.append(hidden)
        }
      }
      advance()
      let query = matmul(hidden, controller.queryWeight.value)
      let scores = squashed(
        concatenate(
          sources.map { source in
            matmul(
              tanh(matmul(source, controller.anchorWeight.value) + query),
              controller.attention.value)
          }, axis: 1))
      let chosen =
        draws.map { drawn(scores, $0, given, isForced: isForced) }
        ?? toss(scores, given, isForced: isForced)
      let sum = addAll(
        sources.enumerated().map { index, source in
          source * chosen.slice(index..<index + 1, axis: 1)
        })
      input = sum / (chosen.sum(axes: [1], keepingDimensions: true) + Float(1))
    }

    /// A fixed number of draws without replacement: who was taken.
    private mutating func drawn(_ scores: Tensor, _ draws: Int, _ given: Tensor, isForced: Bool)
      -> Tensor
    {
      let sources = scores.shape[1]
      var taken = scores.zerosLike()
      for number in 0..<draws {
        let columns = number * sources..<(number + 1) * sources
        // Far below any score, and finite.
        let open = scores - stopGradient(taken) * Float(1e4)
        taken = taken + draw(open, given.slice(columns, axis: 1), isForced: isForced)
      }
      return taken
    }

    /// One coin a source, tails −score and heads +score.
    private mutating func toss(_ scores: Tensor, _ given: Tensor, isForced: Bool) -> Tensor {
      let sources = scores.shape[1]
      let flat = scores.reshaped(to: [count * sources, 1])
      let logs = logSoftmax(concatenate([-flat, flat], axis: 1))
      func column(_ index: Int) -> Tensor {
        logs.slice(index..<index + 1, axis: 1).reshaped(to: [count, sources])
      }
      let (tails, heads) = (column(0), column(1))
      let taken =
        isForced
        ? given : ((stopGradient(scores) * Float(2) + given) .> Float(0)).cast(to: .float32)
      actions.append(taken)
      probabilities.append(exp(heads))
      likelihoods.append(-(taken * heads + (Float(1) - taken) * tails).sum(axes: [1]))
      entropies.append(-(exp(heads) * heads + exp(tails) * tails).sum(axes: [1]))
      let target = controller.settings.skipTarget
      penalties.append(
        (exp(heads) * (heads - Float(Foundation.log(target)))
          + exp(tails) * (tails - Float(Foundation.log(1 - target)))).sum(axes: [1]))
      return taken
    }
  }

  // MARK: On the host

  /// Noise for `count` architectures: Gumbel for softmax draws, logistic for coins.
  func noise(_ count: Int, _ generator: inout SeededGenerator) -> [Float] {
    var isCoin = [Bool](repeating: false, count: width)
    for slot in slots.values where slot.draws == nil {
      for column in slot.columns { isCoin[column] = true }
    }
    return (0..<count * width).map { index in
      let u = Double.random(in: 1e-12..<1, using: &generator)
      let log = Foundation.log(u)
      return Float(
        isCoin[index % width] ? log - Foundation.log1p(-u) : -Foundation.log(-log))
    }
  }

  /// The choices of one row of actions.
  func choices(_ row: ArraySlice<Float>) -> [String: ResolvedChoice] {
    slots.mapValues { slot in
      let values = Array(row.dropFirst(slot.columns.lowerBound).prefix(slot.columns.count))
      let count = slot.candidates.count
      guard let draws = slot.draws else {
        return ResolvedChoice(active: values.indices.filter { values[$0] > 0.5 })
      }
      let taken = (0..<draws).map { number in
        (0..<count).first { values[number * count + $0] > 0.5 } ?? 0
      }
      return ResolvedChoice(active: Set(taken).map { slot.candidates[$0] })
    }
  }

  /// Probabilities of every candidate of every key, from the mean over a pass's rows.
  ///
  /// A fixed number of draws counts a source's probability at each draw, as far as 1.
  func probabilities(_ columns: [Double]) -> [String: [Double]] {
    slots.mapValues { slot in
      var result = [Double](repeating: 0, count: slot.choice.candidateNames.count)
      for (number, column) in slot.columns.enumerated() {
        let candidate = slot.candidates[number % slot.candidates.count]
        result[candidate] = min(1, result[candidate] + columns[column])
      }
      return result
    }
  }

  /// The mean row before anything is learnt: every candidate alike.
  var uniform: [Double] {
    var result = [Double](repeating: 0.5, count: width)
    for slot in slots.values where slot.draws != nil {
      for column in slot.columns { result[column] = 1 / Double(slot.candidates.count) }
    }
    return result
  }
}
