import COpenCL
import Foundation
import Testing

@testable import EspalierTensor

/// Built programs in files; here of PoCL, which dies of a truncated binary.
@Suite("Programs kept in files", .needsOpenCL)
struct OpenCLBinaryTests {
  // In processes of their own, because COpenCL is for one thread at a time.
  @Test("A kept program is loaded by the next context and computes the same")
  func kept() async {
    await #expect(processExitsWith: .success) {
      try BinaryFolder.with { folder in
        try folder.expect(fromFile: false)
        try folder.expect(fromFile: true)
        let file = try folder.onlyFile()
        // Name, length and digest by another implementation.
        let bytes = [UInt8](try Data(contentsOf: file))
        let payload = bytes.dropFirst(48)
        let length = (0..<8).reduce(0) { $0 | Int(bytes[8 + $1]) << (8 * $1) }
        let name = file.lastPathComponent
        let key = stride(from: 0, to: 64, by: 2).compactMap {
          UInt8(name.dropFirst($0).prefix(2), radix: 16)
        }
        let digest = try sha256(key + payload)
        guard key.count == 32, bytes.starts(with: Array("ESPCLB1\n".utf8)),
          length == payload.count, digest == hexadecimal(bytes[16..<48])
        else { throw Unexpected(text: "\(name), \(length) of \(payload.count) bytes, \(digest)") }
        // Another text, other options.
        try folder.expect(fromFile: false, factor: 3)
        try folder.expect(fromFile: false, options: "-cl-denorms-are-zero")
        guard try folder.files().count == 3 else { throw Unexpected(text: "files") }
      }
    }
  }

  @Test("A damaged file is built again and replaced")
  func damaged() async {
    await #expect(processExitsWith: .success) {
      try BinaryFolder.with { folder in
        try folder.expect(fromFile: false)
        let file = try folder.onlyFile()
        let sound = [UInt8](try Data(contentsOf: file))
        func expectRebuilt(_ bytes: [UInt8], _ label: String) throws {
          try Data(bytes).write(to: file)
          try folder.expect(fromFile: false, label)
          try folder.expect(fromFile: true, label)
        }
        for count in [0, 1, 8, 15, 16, 47, 48, 49, sound.count / 2, sound.count - 1] {
          try expectRebuilt(Array(sound.prefix(count)), "\(count) bytes")
        }
        try expectRebuilt(sound + [0], "one byte more")
        try expectRebuilt(
          Array("not a program at all, but long enough to be one, or so".utf8), "text")
        for place in [0, 7, 8, 15, 16, 47, 48, 60, sound.count / 2, sound.count - 1] {
          var bytes = sound
          bytes[place] ^= 1 << UInt8(place % 8)
          try expectRebuilt(bytes, "bit flipped in byte \(place)")
        }
        // A sound file, of another program.
        try folder.expect(fromFile: false, factor: 3)
        let other = try #require(try folder.files().first { $0 != file })
        try expectRebuilt([UInt8](try Data(contentsOf: other)), "another program's file")
        guard try folder.files().count == 2 else { throw Unexpected(text: "temporary files left") }
      }
    }
  }

  @Test("A new driver version, and another device, build anew beside the old file")
  func stale() async {
    await #expect(processExitsWith: .success) {
      try BinaryFolder.with { folder in
        try folder.expect(fromFile: false)
        let device = try changeableDevice()
        let (driver, name) = (device.pointee.driver, device.pointee.name)
        device.pointee.driver = UnsafePointer(strdup("99.9"))
        try folder.expect(fromFile: false, "driver")
        try folder.expect(fromFile: true, "driver")
        (device.pointee.driver, device.pointee.name) = (driver, UnsafePointer(strdup("another")))
        try folder.expect(fromFile: false, "device")
        device.pointee.name = name
        try folder.expect(fromFile: true, "as at first")
        guard try folder.files().count == 3 else { throw Unexpected(text: "files") }
      }
    }
  }

  @Test("A folder that cannot be written or read keeps nothing and is no error")
  func unwritable() async {
    await #expect(processExitsWith: .success) {
      try BinaryFolder.with { folder in
        let file = folder.url.appendingPathComponent("file")
        try Data("x".utf8).write(to: file)
        for path in [file.path, file.path + "/below", "/proc/espalier", "/dev/null"] {
          let elsewhere = BinaryFolder(url: URL(fileURLWithPath: path))
          for _ in 0..<2 { try elsewhere.expect(fromFile: false, path) }
        }
        try FileManager.default.removeItem(at: file)
        // A folder in the file's place.
        try folder.expect(fromFile: false)
        let place = try folder.onlyFile()
        try FileManager.default.removeItem(at: place)
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: false)
        for _ in 0..<2 { try folder.expect(fromFile: false, "folder") }
        guard try folder.onlyFile().path == place.path else {
          throw Unexpected(text: "temporary files left")
        }
      }
    }
  }

  @Test("By default only drivers without a cache of their own get one, under the cache folder")
  func automatic() async {
    await #expect(processExitsWith: .success) {
      try BinaryFolder.with { folder in
        // PoCL reads the variable when it is loaded, for its own cache.
        let device = try changeableDevice()
        setenv("XDG_CACHE_HOME", folder.url.path, 1)
        let inside = BinaryFolder(url: folder.url.appendingPathComponent("espalier/opencl"))
        for kind in [ESP_CL_POCL, ESP_CL_NVIDIA, ESP_CL_OCLGRIND] {
          device.pointee.vendor_kind = Int32(kind)
          try inside.expect(fromFile: false, isDefault: true)
        }
        guard try folder.files().isEmpty else { throw Unexpected(text: "kept") }
        device.pointee.vendor_kind = Int32(ESP_CL_AMD)
        try inside.expect(fromFile: false, isDefault: true)
        try inside.expect(fromFile: true, isDefault: true)
        _ = try inside.onlyFile()
        // A relative path is to be ignored.
        setenv("XDG_CACHE_HOME", "relative", 1)
        setenv("HOME", folder.url.appendingPathComponent("home").path, 1)
        try inside.expect(fromFile: false, isDefault: true)
        let home = folder.url.appendingPathComponent("home/.cache/espalier/opencl")
        _ = try BinaryFolder(url: home).onlyFile()
      }
    }
  }
}

/// A folder of kept programs.
private struct BinaryFolder {
  let url: URL

  /// Gives `body` a new folder.
  static func with(_ body: (BinaryFolder) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(
      "espalier-binaries-\(UUID())")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: url) }
    try body(BinaryFolder(url: url))
  }

  func files() throws -> [URL] {
    try FileManager.default.contentsOfDirectory(atPath: url.path).sorted()
      .map { url.appendingPathComponent($0) }
  }

  func onlyFile() throws -> URL {
    let files = try files()
    guard files.count == 1 else { throw Unexpected(text: "\(files)") }
    return files[0]
  }

  /// Builds a program in a context of its own and runs it.
  ///
  /// - Parameters:
  ///   - fromFile: Whether it must come from a file.
  ///   - isDefault: Leaves the folder to the context.
  func expect(
    fromFile: Bool, _ label: String = "", factor: Int = 2, options: String = "",
    isDefault: Bool = false
  ) throws {
    _ = DeviceList.all()
    var (context, program, kernel): (OpaquePointer?, OpaquePointer?, OpaquePointer?)
    try require(esp_cl_open(0, 0, &context, nil, 0))
    defer { esp_cl_close(context) }
    if !isDefault { esp_cl_set_binary_folder(context, url.path) }
    let text = """
      __kernel void scale(__global int *y, __global const int *rows) { y[0] = \(factor) * rows[0]; }
      """
    try text.withCString { pointer in
      var (names, texts) = ([Optional(pointer)], [Optional(pointer)])
      var lengths = [strlen(pointer)]
      try require(esp_cl_build(context, &names, &texts, &lengths, 1, options, &program, nil, 0))
    }
    guard (esp_cl_program_is_binary(program) == 1) == fromFile else {
      throw Unexpected(text: "\(label): \(fromFile ? "built" : "loaded")")
    }
    var buffers: [OpaquePointer?] = [nil, nil]
    defer { for buffer in buffers { esp_cl_buffer_release(context, buffer) } }
    for index in buffers.indices {
      try require(esp_cl_buffer_create(context, 4, &buffers[index], nil, 0))
    }
    try require(esp_cl_write(context, buffers[1], 0, 4, [Int32(21)], 1))
    try require(esp_cl_kernel_named(program, "scale", &kernel, nil, 0))
    try require(esp_cl_launch(context, kernel, buffers, 1, buffers[1], 1, 1, 1, 1))
    var result: Int32 = 0
    try require(esp_cl_read(context, buffers[0], 0, 4, &result, 1))
    guard result == Int32(factor * 21) else { throw Unexpected(text: "\(label): \(result)") }
  }
}

private func require(_ status: Int32) throws {
  if status != 0 { throw Unexpected(text: String(cString: esp_cl_status_name(status))) }
}

/// The first device as COpenCL holds it, to be taken for another.
private func changeableDevice() throws -> UnsafeMutablePointer<esp_cl_device> {
  _ = DeviceList.all()
  guard let device = esp_cl_device_at(0) else { throw Unexpected(text: "no device") }
  return UnsafeMutablePointer(mutating: device)
}

private func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { String(format: "%02x", $0) }.joined()
}

/// By the command of that name.
private func sha256(_ bytes: [UInt8]) throws -> String {
  let file = FileManager.default.temporaryDirectory.appendingPathComponent("espalier-\(UUID())")
  try Data(bytes).write(to: file)
  defer { try? FileManager.default.removeItem(at: file) }
  let (process, output) = (Process(), Pipe())
  process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
  process.arguments = [file.path]
  process.standardOutput = output
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return String(text.prefix(64))
}
