import Testing

@testable import EspalierTensor

@Suite("Flat storage")
struct FlatStorageTests {
  private static func check() throws {
    let parts: [[Float]] = [[1, 2, 3], (0..<1000).map { Float($0) }, [-0.0, .infinity], [5]]
    let variables = try parts.map { try Variable($0, shape: [$0.count]) }
    try FlatStorage.place(Array(variables[..<2]), Array(variables[2...]))
    func bits() throws -> [[UInt32]] {
      try variables.map { try ($0.scalars() as [Float]).map(\.bitPattern) }
    }
    let expected = parts.map { $0.map(\.bitPattern) }
    #expect(try bits() == expected)
    let snapshot = try Snapshot(of: variables)
    try Variable.assign(variables.map { $0.tensor + 1 }, to: variables)
    #expect(try bits() == parts.map { $0.map { ($0 + 1).bitPattern } })
    try snapshot.restore()
    #expect(try bits() == expected)
    // Pruning keeps what is left where it is needed.
    try FlatStorage.compact([variables[1]], [variables[3]], after: StorageClaim(variables))
    #expect(try bits() == expected)
    #expect(variables[1].slice.buffer === variables[3].slice.buffer)
    #expect(variables[1].slice.buffer !== variables[0].slice.buffer)
  }

  @Test("Values survive moving, a snapshot, other values and pruning to the last bit")
  func values() throws { try Self.check() }

  @Test("On OpenCL too", .needsOpenCL)
  func valuesOnOpenCL() throws { try OpenCL.run { try Self.check() } }

  @Test("A weight in the layout of convolutions takes values of either layout")
  func layouts() throws {
    let elements = (0..<24).map { Float($0) }
    let weight = try Variable(elements, shape: [2, 3, 2, 2], isConvolutionWeight: true)
    try FlatStorage.place([weight])
    try Variable.assign([weight.tensor * 2], to: [weight])
    #expect(try weight.scalars() == elements.map { $0 * 2 })
    try Variable.assign([try Tensor(elements, shape: [2, 3, 2, 2])], to: [weight])
    #expect(try weight.scalars() == elements)
  }

  @Test("Snapshots and exchanged values take no memory after the first time")
  func steadyMemory() async {
    // In a process of its own: the pool is shared.
    await #expect(processExitsWith: .success) {
      let variables = try (1...9).map {
        try Variable([Float](repeating: 1, count: $0 * 100), shape: [$0 * 100])
      }
      try FlatStorage.place(variables)
      func exchange() throws {
        try step { () throws -> Void in
          let snapshot = try Snapshot(of: variables)
          try Variable.assign(variables.map { $0.tensor * 2 }, to: variables)
          try snapshot.restore()
        }
      }
      try exchange()
      let before = CPUBackend.shared.pool.allocatedBytes
      for _ in 0..<10 { try exchange() }
      precondition(CPUBackend.shared.pool.allocatedBytes == before, "memory was taken")
    }
  }

  @Test("A variable is freed with its last owner, also when a record used it")
  func lifetime() throws {
    weak var forgotten: Variable?
    do {
      let variable = try Variable([1, 2] as [Float], shape: [2])
      forgotten = variable
      #expect(try step { variable.tensor * 2 }.scalars() == [2, 4] as [Float])
    }
    #expect(forgotten == nil)
  }
}
