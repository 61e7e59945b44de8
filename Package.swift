// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "espalier",
  products: [
    .library(name: "Espalier", targets: ["Espalier"]),
    .library(name: "EspalierCommand", targets: ["EspalierCommand"]),
    .executable(name: "espalier", targets: ["espalier"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // Device code: C for the CPU, OpenCL C for GPUs, one stem per operation.
    .target(name: "CKernels", path: "Kernels", exclude: ["OpenCL"]),
    // OpenCL and CLBlast, opened at run time.
    .target(name: "COpenCL"),

    // The library, lowest layer first.
    .target(name: "EspalierTensor", dependencies: ["CKernels", "COpenCL"]),
    .target(name: "EspalierNN", dependencies: ["EspalierTensor"]),
    .target(name: "EspalierData", dependencies: ["EspalierTensor"]),
    .target(name: "Espalier", dependencies: ["EspalierNN", "EspalierData"]),

    // Every verb of the command line; a user's own program calls it too.
    .target(
      name: "EspalierCommand",
      dependencies: [
        "Espalier", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(name: "espalier", dependencies: ["EspalierCommand"]),
    .executableTarget(
      name: "Bench", dependencies: ["Espalier", "OperationCases"], path: "Benchmarks",
      exclude: ["peers", "compare.sh", "README.md"]),

    // Tests. Operation cases serve the tests and Bench.
    .target(name: "OperationCases", dependencies: ["EspalierTensor"], path: "Tests/OperationCases"),
    .testTarget(
      name: "EspalierTensorTests", dependencies: ["EspalierTensor", "OperationCases"],
      exclude: ["Golden"]),
    .testTarget(
      name: "EspalierNNTests", dependencies: ["EspalierNN"], exclude: ["Golden"]),
    .testTarget(name: "EspalierDataTests", dependencies: ["EspalierData"]),
    .testTarget(
      name: "EspalierTests", dependencies: ["Espalier"], exclude: ["Fixtures", "Golden"]),
    .testTarget(name: "EspalierCommandTests", dependencies: ["EspalierCommand"]),
  ],
  cLanguageStandard: .c2x
)
