import Foundation

/// A library opened at run time: rivals are measured where they are installed.
struct DynamicLibrary {
  private let handle: UnsafeMutableRawPointer

  /// Opens the first of several file names; says once what is missing.
  init?(_ names: String..., package: String) {
    for name in names {
      if let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) {
        self.handle = handle
        return
      }
    }
    Report.say("no \(names[0]): its rows are left out (Debian: \(package))")
    return nil
  }

  /// A function of the library as the C function pointer type `F`.
  func function<F>(_ name: String, as type: F.Type = F.self) -> F? {
    guard let symbol = dlsym(handle, name) else { return nil }
    return unsafeBitCast(symbol, to: type)
  }
}

/// A rival's version of a case: one call, and what it wrote in our order.
protocol RivalCall {
  func run()
  var outputs: [Double] { get }
}

/// Whatever else is installed and computes the same.
final class Rivals {
  private let blas: OpenBLAS?
  private let dnn: OneDNN?

  init(threads: Int) {
    blas = OpenBLAS(threads: threads)
    dnn = OneDNN(threads: threads)
  }

  /// The rival's name and its call for a case, with the case's inputs.
  func call(for operation: KernelCase) -> (name: String, call: any RivalCall)? {
    switch operation.rival {
    case nil: nil
    case .product(let m, let n, let k):
      blas.map {
        ($0.name, $0.product(m, n, k, a: operation.values(0), b: operation.values(1)))
      }
    case .convolution(let shape, let direction):
      dnn?.convolution(shape, direction, operation.values(0), operation.values(1)).map {
        (dnn?.name ?? "", $0)
      }
    }
  }
}

/// Numbers in memory of their own.
final class FloatMemory {
  let pointer: UnsafeMutablePointer<Float>
  let count: Int

  init(_ count: Int, _ values: [Double] = []) {
    self.count = count
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(64, 4 * count), alignment: 64)
    pointer = memory.bindMemory(to: Float.self, capacity: count)
    pointer.initialize(repeating: 0, count: count)
    for (index, value) in values.enumerated() { pointer[index] = Float(value) }
  }

  deinit { pointer.deallocate() }

  var numbers: [Double] { UnsafeBufferPointer(start: pointer, count: count).map(Double.init) }
}
