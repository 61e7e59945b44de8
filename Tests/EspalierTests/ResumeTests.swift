import Foundation
import Testing

@testable import Espalier

@Suite("A search goes on where it stopped", .seededWeights)
struct ResumeTests {
  private static let files = [
    "architecture.json", "candidates.jsonl", "checkpoint.safetensors", "epochs/1.json",
  ]

  /// A log without the times.
  private func log(_ folder: String) throws -> [JSONObject] {
    try jsonLines(folder + "/log.jsonl").map { line in
      var line = line
      line["seconds"] = nil
      return line
    }
  }

  @Test("The same seed gives the same bytes, another seed others", arguments: strategyNames)
  func sameBytes(name: String) throws {
    try withTemporaryFolder { folder in
      for (run, seed) in [("a", 3), ("b", 3), ("c", 4)] as [(String, UInt64)] {
        try runToySearch("\(folder)/\(run)", toyStrategy(name), options: toyOptions(seed: seed))
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
    arguments: strategyNames, 1...6)
  func resumes(name: String, stop: Int) throws {
    try withTemporaryFolder { folder in
      try runToySearch(folder + "/whole", toyStrategy(name))
      let parts = folder + "/parts"
      let error = #expect(throws: TrainingInterrupted.self) {
        try runToySearch(parts, toyStrategy(name), stopAfter: stop)
      }
      #expect(error?.step == stop)
      var notes: [String] = []
      try runToySearch(parts, toyStrategy(name), isResuming: true, notes: { notes.append($0) })
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

  @Test("A session that was killed before its first checkpoint leaves no line in the log twice")
  func withoutCheckpoint() throws {
    try withTemporaryFolder { folder in
      try runToySearch(folder + "/whole")
      let parts = folder + "/parts"
      #expect(throws: TrainingInterrupted.self) { try runToySearch(parts, stopAfter: 1) }
      for file in try FileManager.default.contentsOfDirectory(atPath: parts)
      where file.hasPrefix("checkpoint") {
        try FileManager.default.removeItem(atPath: "\(parts)/\(file)")
      }
      #expect(try log(parts).count == 1)
      try runToySearch(parts, isResuming: true)
      #expect(try log(folder + "/whole") == log(parts))
    }
  }

  @Test("Seconds go on from those of the log at the checkpoint, and the summary has them all")
  func seconds() throws {
    try withTemporaryFolder { folder in
      #expect(throws: TrainingInterrupted.self) { try runToySearch(folder, stopAfter: 4) }
      // As if the first session had been slow.
      let path = folder + "/log.jsonl"
      let slow = try jsonLines(path).enumerated().map { index, line in
        var line = line
        line["seconds"] = .number(1000 + Double(index))
        return JSONValue.object(line).compactText + "\n"
      }
      #expect(slow.count == 4)
      try Data(slow.joined().utf8).write(to: URL(fileURLWithPath: path))
      let result = try runToySearch(folder, isResuming: true)
      let seconds = try jsonLines(path).compactMap { $0["seconds"]?.double }
      #expect(seconds.prefix(4) == [1000, 1001, 1002, 1003])
      #expect(seconds.last.map { $0 > 1003 && $0 < 1500 } == true && seconds == seconds.sorted())
      #expect(result.seconds > 1003 && result.seconds < 1500)
      guard
        case .object(let summary) = try JSONValue(parsing: Array(bytes(folder + "/summary.json")))
      else { throw RunError("summary") }
      #expect(summary["search_seconds"]?.double == result.seconds)
    }
  }
}
