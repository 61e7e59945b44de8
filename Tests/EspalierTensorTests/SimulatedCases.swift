import Glibc
import OperationCases

/// Which cases the simulator runs: a sample, or a part of the whole list.
enum SimulatedCases {
  /// `ESPALIER_PROVE=3/40` asks for the third of forty parts of the whole list, large shapes too.
  static let part: [OperationCase]? = {
    guard let text = getenv("ESPALIER_PROVE") else { return nil }
    let numbers = String(cString: text).split(separator: "/").compactMap { Int($0) }
    guard numbers.count == 2, numbers[1] > 0, 1...numbers[1] ~= numbers[0] else {
      preconditionFailure("ESPALIER_PROVE is \(String(cString: text)), not such as 3/40")
    }
    let whole = OperationCases.all + OperationCases.large + OperationCases.fused
    let chosen = whole.indices.filter { $0 % numbers[1] == numbers[0] - 1 }
    return chosen.map { whole[$0] }
  }()

  /// A quarter of each family, and every form of depthwise convolution and of what is fused.
  static let sample: [OperationCase] = {
    var count: [String: Int] = [:]
    let chosen = OperationCases.all.filter { operation in
      count[operation.stem, default: 0] += 1
      let isDepthwise = operation.name.contains("depthwise")
      if isDepthwise && (operation.name.hasSuffix("of 19") || operation.name.hasSuffix("7x7")) {
        return true
      }
      let isChosen = (count[operation.stem] ?? 0) % 4 == 1
      return isChosen && operation.flops < 60_000
    }
    return chosen + OperationCases.fused
  }()

  static var all: [OperationCase] { part ?? sample }
}
