import EspalierTensor
import Foundation

extension SearchSpace {
  /// What path dropout keeps of each choice.
  ///
  /// - Parameter rate: r, the probability with which all of a choice's paths would vanish.
  func pathsKept(dropping rate: Double, _ generator: inout SeededGenerator) -> [String: [Int]] {
    var kept: [String: [Int]] = [:]
    for choice in choices {
      guard let paths = paths(of: choice) else {
        kept[choice.key] = randomChoice(choice, &generator).active
        continue
      }
      let probability = rate > 0 ? pow(rate, 1 / Double(paths.count)) : 0
      var list = paths.filter { _ in generator.uniform() >= probability }
      let mayVanish = choice.kind == .input && choice.chosenCount == nil
      if list.isEmpty && !mayVanish {
        list = [paths[Int.random(in: 0..<paths.count, using: &generator)]]
      }
      kept[choice.key] = list
    }
    return kept
  }

  /// The candidates of a choice that can be there all at once; nil where only some can.
  private func paths(of choice: ChoiceDescription) -> [Int]? {
    let all = Array(choice.candidateNames.indices)
    switch mutables[choice.key]?.first {
    case is LayerChoice: return selectable(choice.key, all.count)
    case let input as InputChoice where choice.chosenCount != 0:
      let takesAny = input.combinesByData && !input.isReadOneByOne
      return takesAny || choice.chosenCount == nil ? all : nil
    default: return nil
    }
  }

  /// Sampled decisions that add up what is kept; an edge that no switch keeps runs one candidate.
  func keeping(_ kept: [String: [Int]]) -> [String: Decision] {
    let used = withoutUnusedEdges(kept.mapValues { ResolvedChoice(active: $0) })
    var decisions = sampledDecisions(used)
    for choice in choices where mutables[choice.key]?.first is LayerChoice {
      decisions[choice.key]?.mixture = KeptSum(count: choice.candidateNames.count)
    }
    return decisions
  }
}

/// The sum of whichever candidates were kept: each is planned by itself, the others are exact zeros.
struct KeptSum: Mixture {
  /// Number of candidates.
  let count: Int

  /// The sum; a candidate that is exactly zero runs only where no other was kept.
  func callAsFunction(_ candidates: MixtureCandidates) -> Tensor {
    let terms = (0..<count).filter { !candidates.isZero($0) }
    var running = candidates.active.filter { !candidates.isZero($0) }
    if running.isEmpty { running = Array(candidates.active.prefix(1)) }
    var results: [Int: Tensor] = [:]
    for index in running {
      ChoiceMarks.begin(key: "candidate", inputs: [])
      results[index] = ChoiceMarks.leave(candidates.run(index), carriesGradient: true)
      ChoiceMarks.end(key: "candidate")
    }
    guard let some = results[running[0]] else { preconditionFailure("KeptSum: nothing was kept") }
    if terms.isEmpty { return some }
    // A zero that runs alone stands in the place of the first term: the sum has one form.
    if terms.allSatisfy({ results[$0] == nil }) { results[terms[0]] = some }
    return addAll(terms.map { results[$0] ?? ChoiceMarks.absent(like: some) })
  }
}
