/// What a model's recorded operations cost.
package struct RecordedCost: Sendable {
  /// Of convolutions and linear layers; a bias counts as one an output.
  package var multiplyAdds = 0

  /// Records `body` without running it and adds up its operations.
  package static func measure(_ body: () -> Void) -> RecordedCost {
    Recorder.withStep { recorder in
      recorder.updatesVariables = false
      body()
      return RecordedCost(recorder)
    }
  }

  private init(_ recorder: Recorder) {
    multiplyAdds = recorder.biasedOutputs
    for record in recorder.records {
      let operands = record.operandRange.map {
        recorder.values[Int(recorder.operands[$0])].type.shape
      }
      let results = record.resultRange.map { recorder.values[Int($0)].type.shape }
      multiplyAdds += OperationTable.shared[record.operation].multiplyAdds(operands, results)
    }
  }
}
