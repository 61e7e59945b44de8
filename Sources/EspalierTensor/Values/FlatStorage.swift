/// Where variables of one device lie side by side, the gradients of those that are trained likewise.
///
/// Optimizers then update all in one launch, and a snapshot is one copy. A variable is moved into
/// flat storage once, by the first set or optimizer that has it, and again only when its model is
/// pruned. The memory lives as long as a variable in it.
package final class FlatStorage {
  /// How often variables left because their model was pruned.
  fileprivate var generation = 0

  /// Moves the variables that have no flat storage yet into a new one; nothing else moves.
  ///
  /// - Parameters:
  ///   - trained: Variables that will have gradients.
  ///   - others: Running statistics, optimizer state.
  /// - Precondition: All are float32; those that move lie on one device.
  package static func place(_ trained: [Variable], _ others: [Variable] = [])
    throws(DeviceError)
  {
    func homeless(_ variables: [Variable]) -> [Variable] {
      variables.filter { $0.storage == nil }
    }
    try move(homeless(trained), homeless(others))
  }

  /// Moves what is left of a pruned model together and returns the memory that became free.
  ///
  /// Sets and optimizers made before trap when they are used.
  ///
  /// - Parameter earlier: Where the model's variables lay before it was pruned.
  package static func compact(
    _ trained: [Variable], _ others: [Variable], after earlier: StorageClaim
  ) throws(DeviceError) {
    earlier.invalidate()
    try move(trained.filter { $0.storage != nil }, others.filter { $0.storage != nil })
    for device in Set((trained + others).map(\.device)) {
      let backend = try Engine.shared.backend(device)
      Engine.shared.lock.with { backend.pool.drain(backend) }
    }
  }

  private static func move(_ trained: [Variable], _ others: [Variable]) throws(DeviceError) {
    var known: Set<ObjectIdentifier> = []
    let trained = trained.filter { known.insert(ObjectIdentifier($0)).inserted }
    let others = others.filter { known.insert(ObjectIdentifier($0)).inserted }
    guard let device = (trained + others).first?.device else { return }
    try Executor.finishBeforeWrite()
    var offsets: [Int] = []
    var end = 0
    var gradientEnd = 0
    for (index, variable) in (trained + others).enumerated() {
      precondition(
        variable.device == device && variable.type.dtype == .float32,
        "flat storage: variable \(variable.type) on \(variable.device), the first is on \(device)")
      offsets.append(end)
      end = aligned(end + variable.type.byteCount)
      if index < trained.count { gradientEnd = end }
    }
    let backend = try Engine.shared.backend(device)
    let values = try backend.pool.make(end, on: backend)
    let gradients = gradientEnd == 0 ? nil : try backend.pool.make(gradientEnd, on: backend)
    // What lies between the variables is copied with them: it should be something.
    try Tensor.write(
      [UInt8](repeating: 0, count: end), to: Slice(buffer: values, byteOffset: 0), backend)
    try MemoryCopy.run(
      zip(trained + others, offsets).map { variable, offset in
        MemoryCopy(
          from: variable.slice, to: Slice(buffer: values, byteOffset: offset),
          byteCount: variable.type.byteCount)
      }, on: backend)
    let storage = FlatStorage()
    for (index, (variable, offset)) in zip(trained + others, offsets).enumerated() {
      variable.move(
        to: Slice(buffer: values, byteOffset: offset),
        gradient: index < trained.count
          ? gradients.map { Slice(buffer: $0, byteOffset: offset) } : nil, in: storage)
    }
  }

  /// Variables begin on a cache line.
  static func aligned(_ byteCount: Int) -> Int { (byteCount + 63) & ~63 }

  fileprivate static func storages(of variables: [Variable]) -> [FlatStorage] {
    var known: Set<ObjectIdentifier> = []
    return variables.compactMap(\.storage).filter {
      known.insert(ObjectIdentifier($0)).inserted
    }
  }
}

/// Notes where variables lie, to see later whether their model was pruned since.
package struct StorageClaim {
  private let claims: [(storage: FlatStorage, generation: Int)]

  /// A claim on the storages that variables lie in now.
  package init(_ variables: [Variable]) {
    claims = FlatStorage.storages(of: variables).map { ($0, $0.generation) }
  }

  /// Makes this and every other claim on these storages trap.
  fileprivate func invalidate() { for (storage, _) in claims { storage.generation += 1 } }

  /// Traps if a model was pruned since; `holder` says who relied on its variables.
  package func check(_ holder: String) {
    for (storage, generation) in claims {
      precondition(
        storage.generation == generation,
        "\(holder) was made before its model was pruned by apply(_:); make a new one")
    }
  }
}
