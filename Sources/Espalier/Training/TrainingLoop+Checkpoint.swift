extension TrainingLoop {
  /// Writes a checkpoint of all that the next step depends on.
  ///
  /// A gradient that was not finite is seen first, and weights that overflowed: then nothing is
  /// written, and the checkpoint before stays.
  func save() throws {
    guard let directory else { return }
    try checkFinite()
    var checkpoint = Checkpoint()
    try checkpoint.add(task.model)
    for (name, entry) in checkpoint.file.entries.sorted(by: { $0.key < $1.key })
    where entry.floats?.allSatisfy(\.isFinite) == false {
      throw ObjectiveError(message: "\(name) is not finite after step \(position.step)")
    }
    try checkpoint.add(task.weightsOptimizer, "weights")
    for (name, optimizer) in task.otherOptimizers { try checkpoint.add(optimizer, name) }
    try task.save(to: &checkpoint)
    checkpoint.file.metadata.merge(options.metadata) { $1 }
    checkpoint.file.metadata["step"] = "\(position.step)"
    checkpoint.file.metadata["epoch"] = "\(position.epoch)"
    checkpoint.file.metadata["stopped"] = stopReason
    checkpoint.file.metadata["since_log"] = try window.saved()
    checkpoint.add(loader, "training")
    try directory.save(checkpoint)
  }

  /// Goes to the directory's checkpoint, if there is one, and cuts the log back to it.
  func resume() throws {
    guard let directory else { return }
    guard let checkpoint = try directory.loadCheckpoint(note: callbacks.note) else {
      try directory.truncateLog(afterStep: 0)
      return
    }
    let metadata = checkpoint.file.metadata
    for (key, value) in options.metadata.sorted(by: { $0.key < $1.key })
    where metadata[key] != value {
      throw RunError(
        "\(directory.path): \(key) was \(metadata[key] ?? "not set"), now it is \(value); a resumed run must keep it"
      )
    }
    guard let step = metadata["step"].flatMap({ Int($0) }),
      let epoch = metadata["epoch"].flatMap({ Int($0) })
    else { throw RunError("\(directory.path): the checkpoint has no step or epoch") }
    try task.restore(from: checkpoint)
    try checkpoint.restore(task.model)
    try checkpoint.restore(task.weightsOptimizer, "weights")
    for (name, optimizer) in task.otherOptimizers { try checkpoint.restore(optimizer, name) }
    try checkpoint.restore(loader, "training")
    (position.step, position.epoch) = (step, epoch)
    stopReason = metadata["stopped"]
    window.restore(metadata["since_log"] ?? "")
    callbacks.note("going on after step \(step), epoch \(epoch)")
    earlierSeconds = try directory.truncateLog(afterStep: step)
  }
}

extension Checkpoint {
  /// Adds where a loader is.
  mutating func add(_ loader: DataLoader, _ name: String) {
    file.metadata["loader/\(name)"] = "\(loader.state.epoch),\(loader.state.nextIndex)"
  }

  /// Puts a loader back.
  func restore(_ loader: DataLoader, _ name: String) throws(RunError) {
    let parts = (file.metadata["loader/\(name)"] ?? "").split(separator: ",").compactMap { Int($0) }
    guard parts.count == 2, parts[0] >= 0, (0...loader.samplesInEpoch).contains(parts[1]) else {
      throw RunError("checkpoint: the state of loader \(name) is missing or of other data")
    }
    loader.restore(DataLoader.State(epoch: parts[0], nextIndex: parts[1]))
  }
}
