/// How choices speak to the record; for the layer that has choices.
package enum ChoiceMarks {
  /// Begins a sampled choice: what follows is planned apart from what came before.
  ///
  /// - Parameter inputs: What the choice may use; counted as used whatever is sampled.
  package static func begin(key: String, inputs: [Tensor]) {
    let recorder = Recorder.current
    if recorder.gradientDepth < 2 && recorder.kind != .planning {
      for input in inputs where !input.value.isAbsent {
        recorder.handed.append(recorder.number(of: input.value))
      }
    }
    cut(key, 0)
  }

  /// What leaves a candidate: a new value even when the candidate is a skip.
  package static func leave(_ x: Tensor, carriesGradient: Bool) -> Tensor {
    record(Copy(carriesGradient: carriesGradient), x)
  }

  /// Ends a candidate or a sampled choice.
  package static func end(key: String) { cut(key, 1) }

  /// A place where a long block may be cut: the end of a scope.
  package static func endScope() { Recorder.current.mark(cut: false) }

  private static func cut(_ key: String, _ side: UInt64) {
    let recorder = Recorder.current
    var hash = PlanKey()
    for byte in key.utf8 { hash.add(UInt64(byte)) }
    recorder.cutCount += 1
    hash.add(UInt64(recorder.cutCount))
    hash.add(side)
    recorder.mark(cut: true, identity: hash.word | 1)
  }

  /// A tensor that is exactly zero, to stand for an input that was not chosen: which inputs are
  /// chosen is data, not structure.
  package static func absent(like x: Tensor) -> Tensor {
    let value = Value(type: x.value.type, device: x.device)
    value.isAbsent = true
    return Tensor(value)
  }
}
