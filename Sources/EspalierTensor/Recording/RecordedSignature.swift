/// What a recorded computation is, as text that is equal for equal computations in any process.
package struct RecordedSignature: Hashable, Sendable {
  /// The operations' stems in order, then a hash of their attributes and shapes; empty for nothing.
  package let text: String

  /// Records `body` without running it.
  package static func of(_ body: () -> Void) -> RecordedSignature {
    Recorder.withStep { recorder in
      recorder.updatesVariables = false
      body()
      return RecordedSignature(recorder)
    }
  }

  private init(_ recorder: Recorder) {
    var stems: [String] = []
    // FNV-1a.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for record in recorder.records {
      let operation = OperationTable.shared[record.operation]
      // What a record is handed, and what is one value everywhere, is no computation.
      if record.operandRange.isEmpty || operation is any GivesConstant { continue }
      stems.append(type(of: operation).stem)
      let operands = record.operandRange.map { recorder.operands[$0] }
      var text = "\(stems[stems.count - 1]) \(attributes(of: operation))"
      for number in operands {
        text += " \(number < 0 ? -1 : recorder.producers[Int(number)])"
        text += "\(recorder.values[Int(number)].type.shape)"
      }
      for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }
    text = stems.isEmpty ? "" : stems.joined(separator: "+") + "#" + String(hash, radix: 16)
  }
}

/// Names and values of an operation's attributes, those of structures within included.
private func attributes(of value: Any) -> String {
  let mirror = Mirror(reflecting: value)
  if mirror.children.isEmpty { return "\(value)" }
  return mirror.children.map { "\($0.label ?? ""):\(attributes(of: $0.value))" }
    .joined(separator: ",")
}
