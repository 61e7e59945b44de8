/// Matrix products of OpenBLAS.
final class OpenBLAS {
  private typealias Product =
    @convention(c) (
      Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>?, Int32,
      UnsafePointer<Float>?, Int32, Float, UnsafeMutablePointer<Float>?, Int32
    ) -> Void
  private typealias SetThreads = @convention(c) (Int32) -> Void
  private typealias Text = @convention(c) () -> UnsafePointer<CChar>?

  /// `OpenBLAS` with the kernels that it chose.
  let name: String
  private let sgemm: Product

  init?(threads: Int) {
    guard let library = DynamicLibrary("libopenblas.so.0", package: "libopenblas0"),
      let sgemm = library.function("cblas_sgemm", as: Product.self)
    else { return nil }
    self.sgemm = sgemm
    library.function("openblas_set_num_threads", as: SetThreads.self)?(Int32(threads))
    let core = library.function("openblas_get_corename", as: Text.self)?()
    name = "OpenBLAS \(core.map { String(cString: $0) } ?? "")"
  }

  /// `a · b` of `m x k` and `k x n`, row-major.
  func product(_ m: Int, _ n: Int, _ k: Int, a: [Double], b: [Double]) -> any RivalCall {
    Call(
      sgemm: sgemm, m: Int32(m), n: Int32(n), k: Int32(k), a: FloatMemory(m * k, a),
      b: FloatMemory(k * n, b), y: FloatMemory(m * n))
  }

  private struct Call: RivalCall {
    let sgemm: Product
    let m: Int32
    let n: Int32
    let k: Int32
    let a: FloatMemory
    let b: FloatMemory
    let y: FloatMemory

    /// 101: row-major, 111: not transposed.
    func run() {
      sgemm(101, 111, 111, m, n, k, 1, a.pointer, k, b.pointer, n, 0, y.pointer, n)
    }

    var outputs: [Double] { y.numbers }
  }
}
