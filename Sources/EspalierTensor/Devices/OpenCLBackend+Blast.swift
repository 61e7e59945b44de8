import CKernels
import COpenCL

extension OpenCLBackend {
  /// Runs a launch of matrix products by CLBlast where each is large enough.
  ///
  /// Equal runs on one device give equal bytes: CLBlast's products use no atomics, and its kernels
  /// are chosen by device and sizes alone. They are not the bytes of the own kernel.
  ///
  /// - Returns: False where the launch is left to the own kernel, which is so too where there is no
  ///   CLBlast, and from its first failure on, as of memory for its copies.
  func multiplyByBlast(_ launch: Launch, _ program: Program, _ spaces: [ResolvedSpace]) -> Bool {
    guard let smallest = smallestBlastProduct,
      program.openCLCalls[Int(launch.openCL)].isMatrixProduct, isBlastInstalled
    else { return false }
    let rows = (0..<Int(launch.rowCount)).map { index in
      (program.rows + (Int(launch.rowOffset) + index * Int(launch.rowBytes)))
        .loadUnaligned(as: esp_matmul_row.self)
    }
    let offsets = rows.indices.map { row in
      (0..<3).map { Int(window(launch, program, spaces, row, $0).offset) }
    }
    // CLBlast's kernels count elements in 32 bits with a sign.
    guard rows.allSatisfy({ $0.multiplyAdds >= smallest }),
      zip(rows, offsets).allSatisfy({ row, offsets in
        zip(row.extents, offsets).allSatisfy { $0 + $1 <= Int(Int32.max) }
      })
    else { return false }

    for (index, row) in rows.enumerated() {
      let bases = (0..<3).map { base(launch, program, spaces, index, $0) }
      let status = multiply(row, bases, offsets[index].map { UInt64($0) })
      guard status == 0 else {
        // The own kernel writes all results again.
        smallestBlastProduct = nil
        let name = String(cString: esp_cl_status_name(status))
        DeviceNotes.say("\(device) computes matrix products without CLBlast: \(name)")
        return false
      }
    }
    usedBlast = true
    return true
  }

  private func multiply(_ row: esp_matmul_row, _ bases: [OperandBase], _ offsets: [UInt64])
    -> Int32
  {
    var buffers = bases.map { Optional(OpaquePointer($0.memory)) }
    var parts: [OpaquePointer?] = []
    // The driver keeps them until the product is done.
    defer { for part in parts { esp_cl_buffer_release(context, part) } }
    for (k, base) in bases.enumerated() where base.origin > 0 {
      let status = part(of: base, &buffers[k])
      if status != 0 { return status }
      parts.append(buffers[k])
    }
    let (m, n, k) = (UInt64(row.m), UInt64(row.n), UInt64(row.k))
    let (lda, ldb, ldy) = (UInt64(row.lda), UInt64(row.ldb), UInt64(row.ldy))
    guard row.batch > 1 else {
      return esp_cl_blast_gemm(
        context, row.transpose_a, row.transpose_b, m, n, k, 1, buffers[0], offsets[0], lda,
        buffers[1], offsets[1], ldb, 0, buffers[2], offsets[2], ldy)
    }
    return esp_cl_blast_gemm_batched(
      context, row.transpose_a, row.transpose_b, m, n, k, 1, buffers[0], offsets[0], lda,
      UInt64(row.batch_a), buffers[1], offsets[1], ldb, UInt64(row.batch_b), 0, buffers[2],
      offsets[2], ldy, UInt64(row.batch_y), UInt64(row.batch))
  }
}

extension esp_matmul_row {
  fileprivate var multiplyAdds: Int { Int(batch) * Int(m) * Int(n) * Int(k) }

  /// Elements from the first to behind the last, of each operand.
  var extents: [Int] {
    let last = Int(batch) - 1
    return [
      last * Int(batch_a) + Int(transpose_a != 0 ? k : m) * Int(lda),
      last * Int(batch_b) + Int(transpose_b != 0 ? n : k) * Int(ldb),
      last * Int(batch_y) + Int(m) * Int(ldy),
    ]
  }
}
