import CKernels

/// A kernel in its forms for element types.
public struct Kernel: Sendable {
  let name: String
  let float32: esp_kernel?
  let float64: esp_kernel?
  let int32: esp_kernel?
  let bool: esp_kernel?
  /// So many operands, from the first on, are skipped where a row says that they are absent.
  let skippedOperands: Int
  private let openCLNames: [DType: String]

  /// By default the OpenCL kernel is `esp_` and the name, with `_i32` or `_8` for other elements
  /// than float32; none computes in float64.
  init(
    _ name: String, _ float32: esp_kernel?, _ float64: esp_kernel?, int32: esp_kernel? = nil,
    bool: esp_kernel? = nil, skipping skippedOperands: Int = 0, openCL: [DType: String]? = nil
  ) {
    self.name = name
    self.skippedOperands = skippedOperands
    var names: [DType: String] = [.float32: "esp_\(name)"]
    if int32 != nil { names[.int32] = "esp_\(name)_i32" }
    if bool != nil { names[.bool] = "esp_\(name)_8" }
    openCLNames = openCL ?? names
    self.float32 = float32
    self.float64 = float64
    self.int32 = int32
    self.bool = bool
  }

  func function(_ dtype: DType) -> esp_kernel {
    let found =
      switch dtype {
      case .float32: float32
      case .float64: float64
      case .int32: int32
      case .bool: bool
      }
    guard let found else { preconditionFailure("\(name) has no \(dtype) kernel") }
    return found
  }

  func openCLName(_ dtype: DType) -> String? { openCLNames[dtype] }
}
