import CKernels

/// What a backward pass over a closure's records should give.
struct GradientRequest {
  /// The first record of the closure.
  var start: Int
  var loss: Int32
  /// Values whose gradient is wanted.
  var sources: [Int32]
  /// Whether gradients of variables go to the variables' own gradient memory.
  var usesGradientStorage: Bool
}

/// Plans and runs what is needed of a record.
enum Executor {
  /// Runs everything recorded outside a step and stores what still has a handle.
  static func flushImmediate(_ recorder: Recorder) throws(DeviceError) {
    if let error = recorder.deferredError {
      recorder.deferredError = nil
      throw error
    }
    guard !recorder.records.isEmpty else { return }
    var demanded: [Int32] = []
    recorder.values.withUnsafeMutableBufferPointer { values in
      for index in values.indices
      where recorder.producers[index] >= 0 && values[index].slice == nil
        && !isKnownUniquelyReferenced(&values[index])
      { demanded.append(Int32(index)) }
    }
    let option: Planning = Planning.option == .reference ? .reference : .none
    _ = try Planning.$option.withValue(option) {
      Result { () throws(DeviceError) in
        try execute(recorder, demanded: demanded, gradient: nil)
      }
    }.get()
    recorder.clear()
  }

  /// Runs what was recorded before memory is written outside the record.
  static func finishBeforeWrite() throws(DeviceError) {
    let recorder = Recorder.current
    switch recorder.kind {
    case .immediate: try flushImmediate(recorder)
    case .step: try execute(recorder, demanded: [], gradient: nil)
    case .planning: preconditionFailure("a variable cannot be written in a gradient rule")
    }
  }

  /// Runs the records that `demanded`, the loss and updates need, and the backward pass if asked for.
  ///
  /// Demanded values are stored; nothing else is. All memory is reserved before the first launch.
  /// - Returns: Where the gradients of the request's sources lie; nil where there is none.
  @discardableResult
  static func execute(
    _ recorder: Recorder, demanded: [Int32], gradient: GradientRequest?
  ) throws(DeviceError) -> [Slice?] {
    let result = Engine.shared.lock.with { () -> Result<[Slice?], DeviceError> in
      do throws(DeviceError) {
        let room = Engine.shared.room
        BlockCutter(recorder, demanded: demanded, gradient: gradient, room: room).cut()
        if room.blocks.isEmpty { return .success(gradient?.sources.map { _ in nil } ?? []) }
        var flush = Flush(recorder, room, demanded: demanded, gradient: gradient)
        return .success(try flush.run())
      } catch { return .failure(error) }
    }
    return try result.get()
  }
}
