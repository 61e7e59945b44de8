import EspalierTensor
import Testing

/// The OpenCL device of the tests: PoCL on most machines.
enum OpenCL {
  static let device = Device.openCL(0)
  /// Why there is none, or nil.
  static let problem = DeviceList.openCLProblem()
  static let comment: Comment = "no OpenCL device: \(problem ?? "")"

  /// Runs `body` on the OpenCL device.
  static func run<R>(_ body: () throws -> R) throws -> R { try Device.with(device, body) }
}

extension Trait where Self == ConditionTrait {
  /// Skips where the machine has no OpenCL device.
  static var needsOpenCL: Self { .enabled(if: OpenCL.problem == nil, OpenCL.comment) }
}
