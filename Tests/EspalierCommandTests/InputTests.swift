import Foundation
import Testing

@Suite("Bad input", .serialized)
struct InputTests {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private var search: String {
    "search \(Tiny.space) --strategy darts --epochs 1 --output out --data mnist:images"
  }

  /// Writes an IDX data set of `count` images of 8x8 pixels in ten classes.
  private func writeImages(magic: UInt8 = 3, label: UInt8 = 1, cut: Int = 0) throws {
    let folder = runner.path("images")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let count = 20
    var images: [UInt8] = [0, 0, 8, magic, 0, 0, 0, UInt8(count), 0, 0, 0, 8, 0, 0, 0, 8]
    images += (0..<count * 64).map { UInt8(truncatingIfNeeded: $0 &* 37) }
    var labels: [UInt8] = [0, 0, 8, 1, 0, 0, 0, UInt8(count)]
    labels += (0..<count).map { UInt8($0 % 10) }
    for (name, bytes) in [
      ("train-images-idx3", images.dropLast(cut)), ("train-labels-idx1", labels[...]),
      ("t10k-images-idx3", images[...]), ("t10k-labels-idx1", labels.dropLast() + [label]),
    ] {
      try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)-ubyte"))
    }
  }

  @Test("a sound data set of 8x8 pixels works")
  func sound() throws {
    try writeImages()
    let result = try runner.run(search + " --no-baseline --json")
    #expect(result.code == 0, "\(result.errors)")
  }

  @Test("a missing data set names the files expected and where they are published")
  func missing() throws {
    try runner.expectFailure(search, naming: ["train-images-idx3-ubyte", "yann.lecun.com"])
    try runner.expectFailure(
      "search \(Tiny.space) --strategy darts --data cifar10:nowhere", naming: ["nowhere"])
    #expect(!runner.has("out"))
  }

  @Test("truncated, wrong and impossible data files are named")
  func damaged() throws {
    try writeImages(cut: 7)
    try runner.expectFailure(search, naming: ["train-images-idx3-ubyte", "truncated"])
    try writeImages(magic: 1)
    try runner.expectFailure(search, naming: ["train-images-idx3-ubyte"])
    try writeImages(label: 200)
    try runner.expectFailure(search, naming: ["t10k-labels-idx1-ubyte", "200"])
    #expect(!runner.has("out"))
  }

  @Test("a .gz that unpacks without end is refused")
  func bomb() throws {
    try writeImages()
    let name = runner.path("images/train-images-idx3-ubyte")
    let pack = Process()
    pack.executableURL = URL(fileURLWithPath: "/bin/bash")
    pack.arguments = [
      "-c", "(cat '\(name)'; head -c 300000000 /dev/zero) | gzip -1 > '\(name).gz'; rm '\(name)'",
    ]
    try pack.run()
    pack.waitUntilExit()
    try runner.expectFailure(search, naming: ["train-images-idx3-ubyte.gz"])
  }

  @Test("images too small for the cells are refused")
  func small() throws {
    try runner.expectFailure("space show darts --image 1x4x4", naming: ["4x4"])
  }

  @Test("an architecture for another space, or none at all, is refused with its file")
  func architectures() throws {
    try runner.write(#"{"conv1": "conv3x3", "skipcon": []}"#, to: "mnist.json")
    try runner.write(#"{"conv1": "conv9x9", "skipcon": []}"#, to: "wrong.json")
    try runner.write(#"{"conv1": "conv3x3""#, to: "half.json")
    let rest = "--data fashion-mnist-mini --output out --architecture "
    for (space, file, word) in [
      ("darts", "mnist.json", "missing keys"), ("mnist", "wrong.json", "conv9x9"),
      ("mnist", "half.json", "line 1"), ("mnist", "none.json", "No such file"),
    ] {
      try runner.expectFailure("retrain --space \(space) " + rest + file, naming: [file, word])
      try runner.expectFailure(
        "export --format json --space \(space) --architecture \(file)", naming: [file, word])
    }
    #expect(!runner.has("out"))
    try runner.expectFailure(
      "export --format genotype --space mnist --architecture mnist.json", naming: ["genotype"])
  }

  @Test("an occupied --output is left alone")
  func occupied() throws {
    try FileManager.default.createDirectory(
      atPath: runner.path("out"), withIntermediateDirectories: true)
    try runner.write("mine", to: "out/notes.txt")
    try runner.write("mine", to: "file")
    try runner.expectFailure(Tiny.search + " --output out", naming: ["out", "not empty"])
    try runner.expectFailure(
      Tiny.search + " --output out --dry-run", naming: ["out", "not empty"])
    try runner.expectFailure(Tiny.search + " --output file", naming: ["file"])
    try runner.expectFailure(Tiny.search + " --output file/below", naming: ["file/below"])
    try runner.expectFailure(
      Tiny.search + " --output /proc/none", naming: ["/proc/none cannot be made: No such file"])
    let empty = try runner.run(
      (Tiny.search + " --output").split(separator: " ").map(String.init) + [""])
    #expect(empty.code == 2)
    runner.expectOneLine(empty, naming: ["--output needs"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: runner.path("out")).count == 1)
    #expect(try runner.bytes("file") == Data("mine".utf8))
  }

  @Test("a disk that is full in the middle of a run gives one line")
  func full() throws {
    let arguments = (Tiny.search + " --output out").split(separator: " ").map(String.init)
    // Files of at most 4 KiB: the configuration fits, the checkpoint does not.
    let result = try runner.run(arguments, shell: "ulimit -f 4")
    #expect(result.code == 1, "\(result.errors)")
    runner.expectOneLine(
      result, naming: ["out/checkpoint.safetensors: cannot be written: File too large"])
    // The reason is said once.
    #expect(result.lastErrorLine.components(separatedBy: "cannot be").count == 2)
    let again = try runner.run(arguments + ["--resume"])
    #expect(again.code == 0, "\(again.errors)")
  }

  @Test("names with spaces and a locale with a decimal comma change nothing")
  func surroundings() throws {
    let shell = "export LC_ALL=de_DE.UTF-8 LANG=de_DE.UTF-8"
    func run(_ line: String, _ rest: [String]) throws -> CommandResult {
      try runner.run(line.split(separator: " ").map(String.init) + rest, shell: shell)
    }
    let folder = "my runs/first run"
    let search = try run(
      Tiny.search.replacing("--epochs 2", with: "--epochs 1") + " --set learning_rate=0.05 --json",
      ["--output", folder])
    #expect(search.code == 0, "\(search.errors)")
    #expect(try search.json()["output"] == .string(folder))
    let evaluated = try run(
      "evaluate --data fashion-mnist-mini --set test_images=20 --json",
      [
        "--architecture", "\(folder)/architecture.json",
        "--checkpoint", "\(folder)/checkpoint.safetensors",
      ])
    #expect(evaluated.code == 0, "\(evaluated.errors)")
    #expect(try evaluated.json()["images"] == .integer(20))
  }

  @Test("a configuration that is no JSON is named")
  func configuration() throws {
    try runner.write("{", to: "config.json")
    try runner.expectFailure("search --config config.json", naming: ["config.json", "line 1"])
    try runner.expectFailure(
      "search --config none.json", naming: ["none.json: cannot be read: No such file"])
    try runner.expectFailure("search --config .", naming: [".: cannot be read: Is a directory"])
    try runner.expectFailure("search --config /dev/zero", naming: ["/dev/zero", "16 MiB"])
  }
}
