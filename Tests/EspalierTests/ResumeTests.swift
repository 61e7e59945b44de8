import Foundation
import Testing

@testable import Espalier

@Suite("A search goes on where it stopped")
struct ResumeTests {
  private static let files = ["architecture.json", "checkpoint.safetensors", "epochs/1.json"]

  private func strategy(_ name: String) -> any SearchStrategy {
    name == "darts" ? DARTS(learningRate: 0.05) : RandomSearch()
  }

  /// A log without the times.
  private func log(_ folder: String) throws -> [JSONObject] {
    try jsonLines(folder + "/log.jsonl").map { line in
      var line = line
      line["seconds"] = nil
      return line
    }
  }

  @Test("The same seed gives the same bytes, another seed others", arguments: ["darts", "random"])
  func sameBytes(name: String) throws {
    try withTemporaryFolder { folder in
      for (run, seed) in [("a", 3), ("b", 3), ("c", 4)] as [(String, UInt64)] {
        try runToySearch("\(folder)/\(run)", strategy(name), options: toyOptions(seed: seed))
      }
      for file in Self.files + ["checkpoint.json", "epochs/2.json"] {
        #expect(try bytes("\(folder)/a/\(file)") == bytes("\(folder)/b/\(file)"), "\(file)")
      }
      #expect(try log(folder + "/a") == log(folder + "/b"))
      let checkpoint = "checkpoint.safetensors"
      #expect(try bytes("\(folder)/a/\(checkpoint)") != bytes("\(folder)/c/\(checkpoint)"))
    }
  }

  @Test(
    "Stopped after any step and resumed, a search ends with the same bytes and the same log",
    arguments: ["darts", "random"], [1, 2, 3, 4, 6])
  func resumes(name: String, stop: Int) throws {
    try withTemporaryFolder { folder in
      try runToySearch(folder + "/whole", strategy(name))
      let parts = folder + "/parts"
      let error = #expect(throws: TrainingInterrupted.self) {
        try runToySearch(parts, strategy(name), stopAfter: stop)
      }
      #expect(error?.step == stop)
      var notes: [String] = []
      try runToySearch(parts, strategy(name), isResuming: true, notes: { notes.append($0) })
      #expect(notes.contains { $0.contains("after step \(stop)") }, "\(notes)")
      for file in Self.files {
        #expect(try bytes("\(folder)/whole/\(file)") == bytes("\(parts)/\(file)"), "\(file)")
      }
      #expect(try log(folder + "/whole") == log(parts))
    }
  }

  @Test("Stopped again and again, once a step, a search still ends with the same bytes")
  func oneStepAtATime() throws {
    try withTemporaryFolder { folder in
      let whole = try runToySearch(folder + "/whole")
      var sessions = 0
      var result: SearchResult?
      while result == nil && sessions < 20 {
        do {
          result = try runToySearch(
            folder + "/parts", stopAfter: 1, isResuming: sessions > 0)
        } catch is TrainingInterrupted {
          sessions += 1
        }
        // The last session only evaluates; it must not be stopped.
        if sessions == 6 && result == nil {
          result = try runToySearch(folder + "/parts", isResuming: true)
        }
      }
      #expect(sessions == 6)
      #expect(result?.architecture == whole.architecture)
      for file in Self.files {
        #expect(try bytes("\(folder)/whole/\(file)") == bytes("\(folder)/parts/\(file)"))
      }
    }
  }

  @Test(
    "A damaged newest checkpoint is passed over for the one before, with a note",
    arguments: ["truncated", "flipped", "missing"])
  func damaged(kind: String) throws {
    try withTemporaryFolder { folder in
      try runToySearch(folder + "/whole")
      let parts = folder + "/parts"
      #expect(throws: TrainingInterrupted.self) { try runToySearch(parts, stopAfter: 5) }
      let path = parts + "/checkpoint.safetensors"
      var content = try bytes(path)
      switch kind {
      case "truncated": content = content.prefix(content.count / 2)
      case "flipped": content[content.count - 9] ^= 4
      default: break
      }
      try FileManager.default.removeItem(atPath: path)
      if kind != "missing" { try content.write(to: URL(fileURLWithPath: path)) }
      var notes: [String] = []
      try runToySearch(parts, isResuming: true, notes: { notes.append($0) })
      #expect(
        notes.contains { $0.contains(path) && $0.contains("checkpoint.previous.safetensors") },
        "\(notes)")
      // Steps 2 and 4 and each epoch's end have checkpoints.
      #expect(notes.contains { $0.contains("after step 4") }, "\(notes)")
      for file in Self.files {
        #expect(try bytes("\(folder)/whole/\(file)") == bytes("\(parts)/\(file)"), "\(file)")
      }
    }
  }

  @Test("A resumed run must keep its settings, and a folder in use is not taken without resuming")
  func contradictions() throws {
    try withTemporaryFolder { folder in
      var options = toyOptions()
      options.metadata = ["space": "toy"]
      #expect(throws: TrainingInterrupted.self) {
        try runToySearch(folder, options: options, stopAfter: 2)
      }
      options.metadata = ["space": "other"]
      let error = #expect(throws: RunError.self) {
        try runToySearch(folder, options: options, isResuming: true)
      }
      #expect(error.map { $0.message.contains("space was toy, now it is other") } == true)
      let occupied = #expect(throws: RunError.self) { try runToySearch(folder) }
      #expect(occupied.map { $0.message.contains(folder) } == true)
    }
  }

  @Test("A finished search gives its result again when it is resumed")
  func finished() throws {
    try withTemporaryFolder { folder in
      let first = try runToySearch(folder)
      let before = try Self.files.map { try bytes("\(folder)/\($0)") }
      let second = try runToySearch(folder, isResuming: true)
      #expect(second.architecture == first.architecture && second.validation == first.validation)
      #expect(try Self.files.map { try bytes("\(folder)/\($0)") } == before)
    }
  }
}
