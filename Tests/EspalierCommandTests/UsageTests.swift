import EspalierNN
import Foundation
import Testing

@Suite("Usage", .serialized)
struct UsageTests {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test(
    "every verb has help with an example",
    arguments: [
      "search", "retrain", "evaluate", "export", "space", "space list", "space show",
      "space export", "strategies", "devices", "doctor",
    ])
  func help(verb: String) throws {
    let result = try runner.run(verb + " --help")
    #expect(result.code == 0)
    #expect(result.output.contains("Example"))
    #expect(result.errors.isEmpty)
  }

  @Test(
    "what the parser rejects is bad usage",
    arguments: [
      ("serach", "serach"), ("search --bacth 3", "--bacth"), ("search --batch x", "--batch"),
      ("search --batch", "--batch"), ("search --seed -1", "--seed"),
      ("export --architecture a.json --format onnx", "onnx"),
      ("export --format json", "architecture"),
      ("space show", "space"), ("search --resume", "--output"),
    ])
  func parser(line: String, word: String) throws {
    try runner.expectFailure(line, naming: [word])
  }

  @Test(
    "a number that is none says what is expected",
    arguments: [
      ("--seed -1", "a whole number from 0 to 18446744073709551615"),
      ("--seed 18446744073709551616", "a whole number from 0 to 18446744073709551615"),
      ("--seed x", "a whole number from 0"), ("--batch x", "a whole number"),
      ("--batch -1", "a whole number from 1 to"), ("--epochs -1", "a whole number from 1 to"),
      ("--epochs 1.5", "a whole number"), ("--log-every -2", "a whole number from 1 to"),
    ])
  func wholeNumbers(flags: String, words: String) throws {
    let parts = flags.split(separator: " ").map(String.init)
    try runner.expectFailure(
      "search \(Tiny.space) \(Tiny.data) --strategy darts \(flags)", naming: parts + [words])
  }

  @Test(
    "unknown names list the nearest valid one",
    arguments: [
      ("search --space dart --strategy darts --data synthetic", "darts"),
      ("search --space darts --strategy drts --data synthetic", "did you mean darts?"),
      ("search --space darts --strategy darts --data synthetik", "synthetic"),
      (
        "search \(Tiny.space) \(Tiny.data) --strategy darts --set chanels=4",
        "did you mean channels"
      ),
      (
        "search \(Tiny.space) \(Tiny.data) --strategy random --set alpha_learning_rate=1", "setting"
      ),
      ("space show mnst", "did you mean mnist"), ("space show darts --set node=2", "nodes"),
      ("search --strategy darts --data synthetic", "--space is missing"),
      ("search --space darts --data synthetic", "--strategy is missing"),
      ("search --space darts --strategy darts", "--data is missing"),
    ])
  func names(line: String, word: String) throws {
    try runner.expectFailure(line, naming: [word])
  }

  @Test(
    "impossible numbers are bad usage",
    arguments: [
      "--batch 0", "--epochs 0", "--log-every 0", "--set channels=-1", "--set channels=3",
      "--set channels=x", "--set learning_rate=nan", "--set learning_rate=inf",
      "--set learning_rate=-0.1", "--set alpha_learning_rate=nan", "--set split=0",
      "--set split=1.5", "--set split=1", "--set images=0", "--set images=1", "--set nodes=0",
      "--set crop=-1", "--set flip=perhaps", "--set momentum=1", "--set images=1e99",
      "--set evaluations=-1", "--set weight_decay", "--set =3", "--device gpu", "--device opencl:x",
      "--device opencl:-1", "--device opencl:99", "--device opencl:99999999999",
    ])
  func numbers(flag: String) throws {
    let rest =
      "--space darts --data fashion-mnist-mini --strategy darts --set cells=1 --output out "
    try runner.expectFailure("search " + rest + flag, naming: [])
    #expect(!runner.has("out"), "nothing is left behind")
  }

  @Test("a setting given twice with two values is bad usage")
  func twice() throws {
    try runner.expectFailure(
      "search \(Tiny.space) \(Tiny.data) --strategy darts --set images=33", naming: ["images"])
  }

  @Test("lists are one line of JSON with the promised members")
  func lists() throws {
    for line in ["strategies --json", "space list --json"] {
      let result = try runner.run(line)
      #expect(result.output.split(separator: "\n").count == 1)
      guard case .array(let list) = try result.jsonValue() else {
        Issue.record("\(line): no list")
        continue
      }
      #expect(list.count >= 2)
      for case .object(let object) in list {
        for key in ["name", "summary", "paper", "parameters"] { #expect(object[key] != nil) }
      }
    }
    guard case .array(let devices) = try runner.run("devices --json").jsonValue(),
      case .object(let first)? = devices.first
    else {
      Issue.record("no devices")
      return
    }
    #expect(first["kind"] == .string("cpu"))
    for key in ["index", "name", "driver", "memory_bytes", "compute_units", "auto"] {
      #expect(first[key] != nil)
    }
    let automatic = devices.filter {
      if case .object(let object) = $0 { object["auto"] == .bool(true) } else { false }
    }
    #expect(automatic.count == 1)
  }

  @Test("a default that depends on the images is listed for both kinds, and is the one taken")
  func defaults() throws {
    let text = try runner.run("strategies").output
    #expect(text.contains(#/crop +0, colour images 4 /#))
    #expect(text.contains(#/flip +false, colour images true /#))
    for (data, crop, flip) in [
      ("fashion-mnist-mini", 0, "false"), ("synthetic", 4, "true"),
    ] {
      let plan = try runner.run(
        "search \(Tiny.space) --strategy darts --data \(data) --dry-run --json"
      ).json()
      guard case .object(let parameters)? = plan["hyper_parameters"] else {
        Issue.record("no hyper-parameters")
        continue
      }
      #expect(parameters["crop"] == .integer(crop))
      #expect(parameters["flip"] == .string(flip))
    }
  }

  @Test("a space is shown and exported in the classic form")
  func spaces() throws {
    #expect(try runner.run("space show darts --set nodes=2").output.contains("normal_n3_switch"))
    let result = try runner.run("space export mnist -o space.json --json")
    #expect(result.code == 0)
    let value = try JSONValue(parsing: Array(runner.bytes("space.json")))
    guard case .object(let object) = value, case .object(let choice)? = object["conv1"] else {
      Issue.record("\(value)")
      return
    }
    #expect(choice["_type"] == .string("layer_choice"))
    #expect(choice["_value"] == .array([.string("conv3x3"), .string("conv5x5")]))
    try runner.expectFailure(
      "space export mnist -o missing/space.json", code: 1, naming: ["missing/space.json"])
  }
}
