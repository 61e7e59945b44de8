/// What a model's recorded operations cost.
package struct RecordedCost: Sendable {
  /// Of convolutions and linear layers; a bias counts as one an output.
  package var multiplyAdds = 0

  /// Records `body` without running it and adds up its operations.
  package static func measure(_ body: () -> Void) -> RecordedCost {
    measure { (_: Meter) in body() }
  }

  /// Records `body`, which may look at what was recorded so far, without running it.
  package static func measure(_ body: (Meter) -> Void) -> RecordedCost {
    Recorder.withStep { recorder in
      recorder.updatesVariables = false
      let meter = Meter(recorder)
      body(meter)
      return RecordedCost(multiplyAdds: meter.multiplyAdds)
    }
  }

  /// Adds up a record while it grows.
  package final class Meter {
    private let recorder: Recorder
    private var position = 0
    private var operations = 0

    init(_ recorder: Recorder) { self.recorder = recorder }

    /// Of everything recorded so far.
    package var multiplyAdds: Int {
      for record in recorder.records[position...] {
        let operands = record.operandRange.map {
          recorder.values[Int(recorder.operands[$0])].type.shape
        }
        let results = record.resultRange.map { recorder.values[Int($0)].type.shape }
        operations += OperationTable.shared[record.operation].multiplyAdds(operands, results)
      }
      position = recorder.records.count
      return operations + recorder.biasedOutputs
    }
  }
}
