import Synchronization

/// Numbers operations, so that a record holds one integer for each.
final class OperationTable: Sendable {
  static let shared = OperationTable()

  private struct Contents {
    var operations: [any Operation] = []
    var numbers: [AnyHashable: Int32] = [:]
  }

  private let contents = Mutex(Contents())

  func number<O: Operation>(_ operation: O) -> Int32 {
    contents.withLock { contents in
      let key = AnyHashable(operation)
      if let known = contents.numbers[key] { return known }
      let number = Int32(contents.operations.count)
      contents.operations.append(operation)
      contents.numbers[key] = number
      return number
    }
  }

  subscript(number: Int32) -> any Operation { contents.withLock { $0.operations[Int(number)] } }
}
