import CKernels

extension Program {
  /// A program of one call whose rows the caller fills in: operand k counts from `spaces[k]`.
  static func direct<Row>(
    _ kernel: Kernel, _ dtype: DType, spaces: [Int32], rows: [Row], scalars: [Scalar] = [],
    dtypes: [DType]? = nil, openCL: OpenCLCall? = nil
  ) -> Program {
    let bytes = MemoryLayout<Row>.stride
    let program = Program(rowBytes: bytes * rows.count)
    for (index, row) in rows.enumerated() {
      program.rows.storeBytes(of: row, toByteOffset: index * bytes, as: Row.self)
    }
    for (k, space) in spaces.enumerated() {
      program.locations.append(
        Location(space: space, dtype: dtypes?[k] ?? dtype, byteOffset: 0))
    }
    for (s, scalar) in scalars.enumerated() {
      for index in rows.indices {
        program.scalars.append((index * bytes + 12 * spaces.count + 4 * s, scalar))
      }
    }
    var call: Int32 = -1
    if let openCL = openCL?.resolved(for: kernel, dtype) {
      call = 0
      program.openCLCalls.append(openCL)
    }
    program.launches.append(
      Launch(
        function: kernel.function(dtype), firstOperand: 0, operandCount: Int32(spaces.count),
        rowOffset: 0, rowBytes: Int32(bytes), rowCount: Int32(rows.count),
        hasRowLocations: false, openCL: call,
        origin: -1))
    program.names.append(kernel.name)
    return program
  }
}
