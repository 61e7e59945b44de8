import Espalier
import Foundation
import Testing

@testable import EspalierCommand

@Suite("Failures")
struct FailureTests {
  @Test("each kind of error has its code and one line, with a remedy where there is one")
  func codes() {
    for (error, code, words) in [
      (UsageError("--x is\nmissing"), 2, "--x is missing"),
      (SettingError(name: "split", value: "2", expected: "less"), 2, "split=2"),
      (DatasetError.missingDirectory(name: "mnist"), 2, "mnist:DIR"),
      (CheckpointError.unreadable(file: "a", reason: "gone"), 2, "a: cannot be read: gone"),
      (CheckpointError.unwritable(file: "a", reason: "full"), 1, "a: cannot be written: full"),
      (DeviceError.noSuchDevice("opencl:9", available: "cpu"), 2, "available: cpu"),
      (DeviceError.outOfMemory(wanted: 9, free: 1, largest: "x"), 1, "smaller --batch"),
      (DeviceError.notFinite(step: 7), 1, "smaller learning_rate"),
      (RunError("r: full"), 1, "r: full"),
    ] as [(any Error, CInt, String)] {
      let failure = Failure(error)
      #expect(failure.code == code, "\(error)")
      #expect(failure.message.contains(words), "\(failure.message)")
      #expect(!failure.message.contains("\n"))
    }
  }

  @Test("a checkpoint that cannot be written or read says why once, in the system's words")
  func reasons() {
    func message(_ body: () throws -> Void) -> String {
      do {
        try body()
        return "no error"
      } catch {
        return Failure(error).message
      }
    }
    #expect(
      message { try Safetensors().write(to: "/proc/none/a.safetensors") }
        == "/proc/none/a.safetensors: cannot be written: No such file or directory")
    #expect(
      message { _ = try RunDirectory("/proc/none", isResuming: false) }
        == "/proc/none cannot be made: No such file or directory")
  }

  @Test("a folder whose run never began is left as it was")
  func abandoning() throws {
    let runner = try CommandRunner()
    func begin(_ name: String, isResuming: Bool = false) throws -> RunFolder {
      let folder = try RunFolder(output: runner.path(name), isResuming: isResuming, json: true)
      try folder.directory.write("{}\n", to: "config.json")
      return folder
    }
    try begin("new").abandonIfUntouched()
    #expect(!runner.has("new"))
    try FileManager.default.createDirectory(
      atPath: runner.path("empty"), withIntermediateDirectories: true)
    try begin("empty").abandonIfUntouched()
    #expect(runner.has("empty"))
    #expect(!runner.has("empty/config.json"))
    do {  // It holds its lock to the end of the scope.
      let begun = try begin("begun")
      try begun.directory.write("\n", to: "log.jsonl")
      begun.abandonIfUntouched()
    }
    #expect(runner.has("begun/config.json"))
    let resumed = try begin("begun", isResuming: true)
    try FileManager.default.removeItem(atPath: runner.path("begun/log.jsonl"))
    resumed.abandonIfUntouched()
    #expect(runner.has("begun/config.json"), "it was there before")
  }
}
