import EspalierNN
import Foundation
import Testing

@Suite("Runs", .serialized)
struct RunTests {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("a search writes its run directory and one line of JSON")
  func search() throws {
    let result = try runner.run(Tiny.search + " --json --log-every 3")
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.output.split(separator: "\n").count == 1)
    #expect(result.errors.hasPrefix("runs/1\n"))
    let json = try result.json()
    for key in [
      "architecture", "output", "validation_accuracy", "random_baseline_accuracy", "parameters",
      "search_seconds",
    ] { #expect(json[key] != nil, "\(key)") }
    for name in [
      "config.json", "log.jsonl", "architecture.json", "epochs/1.json", "epochs/2.json",
      "checkpoint.safetensors", "checkpoint.json", "checkpoint.previous.safetensors",
      "summary.json",
    ] { #expect(runner.has("runs/1/" + name), "\(name)") }
    let lines = String(decoding: try runner.bytes("runs/1/log.jsonl"), as: UTF8.self)
      .split(separator: "\n")
    var steps: [JSONValue?] = []
    for line in lines {
      guard case .object(let entry) = try JSONValue(parsing: Array(line.utf8)) else { continue }
      for key in ["step", "epoch", "seconds", "loss", "metrics", "decisions"] {
        #expect(entry[key] != nil, "\(key)")
      }
      steps.append(entry["step"])
    }
    // The first step, every third, and each epoch's last of four.
    #expect(steps == [1, 3, 4, 6, 8].map { .integer($0) })
    let configuration = try runner.object("runs/1/config.json")
    for key in ["versions", "device", "seed", "space", "strategy", "batch", "hyper_parameters"] {
      #expect(configuration[key] != nil, "\(key)")
    }
    #expect(try runner.run(Tiny.search + " --dry-run").code == 0)
    #expect(!runner.has("runs/2"), "a dry run writes nothing")
  }

  @Test("a run repeats from its config.json, also after retraining")
  func configuration() throws {
    #expect(try runner.run(Tiny.search + " --seed 3 --output a").code == 0)
    #expect(try runner.run("search --config a/config.json --output b").code == 0)
    #expect(
      try runner.bytes("a/checkpoint.safetensors") == runner.bytes("b/checkpoint.safetensors"))
    // Of another verb's run, what applies is taken: here space, data, seed and sizes.
    let result = try runner.run(
      "retrain --config a/config.json --architecture a/architecture.json --epochs 1 --batch 16 "
        + "--set test_images=20 --output c")
    #expect(result.code == 0, "\(result.errors)")
    #expect(try runner.object("c/config.json")["seed"] == .integer(3))
  }

  @Test("retrain, evaluate and export work from one checkpoint")
  func retrain() throws {
    try runner.write(Tiny.architecture, to: "a.json")
    let result = try runner.run(Tiny.retrain + " --architecture a.json --output r --json")
    #expect(result.code == 0, "\(result.errors)")
    let trained = try result.json()
    for name in ["architecture.json", "checkpoint.safetensors", "config.json", "log.jsonl"] {
      #expect(runner.has("r/" + name), "\(name)")
    }
    let evaluate =
      "evaluate --data fashion-mnist-mini --architecture r/architecture.json --json "
      + "--checkpoint r/checkpoint.safetensors"
    let measured = try runner.run(evaluate)
    #expect(measured.code == 0, "\(measured.errors)")
    let object = try measured.json()
    for key in ["accuracy", "loss", "parameters", "multiply_adds", "latency_s", "peak_bytes"] {
      #expect(object[key] != nil, "\(key)")
    }
    #expect(object["accuracy"] == trained["test_accuracy"])
    // Of forty images, some whole number of hits: no noise of single precision.
    let accuracy = try #require(trained["test_accuracy"]?.double)
    #expect((0...40).contains { accuracy == Double($0) / 40 }, "\(accuracy)")
    #expect(object["loss"] == trained["test_loss"])
    #expect(object["parameters"] == trained["parameters"])
    // What contradicts the checkpoint.
    try runner.expectFailure(evaluate + " --set channels=4", naming: ["channels=2"])
    try runner.expectFailure(evaluate + " --space mnist", naming: ["darts"])
    try runner.expectFailure(
      evaluate.replacing("fashion-mnist-mini", with: "synthetic"), naming: ["1x28x28"])
    try runner.write(
      Tiny.architecture.replacing("skip_connect", with: "max_pool_3x3"), to: "o.json")
    try runner.expectFailure(
      evaluate.replacing("r/architecture.json", with: "o.json"), naming: ["o.json"])
    // A checkpoint cut in half, with none before it.
    let bytes = try runner.bytes("r/checkpoint.safetensors")
    try bytes.prefix(bytes.count / 2).write(
      to: URL(fileURLWithPath: runner.path("cut.safetensors")))
    try runner.expectFailure(
      evaluate.replacing("r/checkpoint.safetensors", with: "cut.safetensors"),
      naming: ["cut.safetensors"])
    // Export takes the number of nodes from the checkpoint.
    let exported = try runner.run(
      "export --architecture a.json --checkpoint r/checkpoint.safetensors --format json -o e.json")
    #expect(exported.code == 0, "\(exported.errors)")
    #expect(try runner.bytes("e.json") == runner.bytes("r/architecture.json"))
  }

  @Test("retrain --baseline fills two run folders beside a search and completes its summary")
  func baseline() throws {
    let sizes =
      "--space darts --data fashion-mnist-mini --set channels=2 --set cells=3 --set nodes=1 "
      + "--set auxiliary_weight=0 --set images=32 --batch 16 --epochs 1"
    let search = try runner.run(
      "search \(sizes) --strategy random --set evaluations=1 --output q --resume")
    #expect(search.code == 0, "\(search.errors)")
    let command =
      "retrain \(sizes) --architecture q/architecture.json --set test_images=20 --baseline "
      + "--output q"
    try runner.expectFailure(command, naming: ["not empty"])
    let result = try runner.run(command + " --resume --json")
    #expect(result.code == 0, "\(result.errors)")
    for folder in ["q/retrain", "q/baseline"] {
      for name in ["config.json", "architecture.json", "checkpoint.safetensors", "summary.json"] {
        #expect(runner.has("\(folder)/\(name)"), "\(folder)/\(name)")
      }
    }
    #expect(
      try runner.bytes("q/retrain/architecture.json") == runner.bytes("q/architecture.json"))
    #expect(
      try runner.bytes("q/baseline/architecture.json") != runner.bytes("q/architecture.json"))
    let summary = try runner.object("q/summary.json")
    for key in [
      "test_accuracy", "parameters", "search_seconds", "retrain_seconds",
      "random_baseline_accuracy",
    ] { #expect(summary[key] != nil, "\(key)") }
    let retrained = try runner.object("q/retrain/summary.json")
    #expect(summary["test_accuracy"] == retrained["test_accuracy"])
    let again = try runner.run(command + " --resume --json")
    #expect(try again.json() == result.json())
    let genotype = try runner.run(
      "export --space darts --set nodes=1 --architecture q/architecture.json --format genotype")
    #expect(genotype.output.hasPrefix("Genotype(normal=[("), "\(genotype.errors)")
  }

  @Test("several seeds give a mean, and weights are inherited from a supernet")
  func seeds() throws {
    #expect(
      try runner.run(
        Tiny.search.replacing("--epochs 2", with: "--epochs 1") + " --no-baseline --output s"
      ).code == 0)
    let result = try runner.run(
      Tiny.retrain.replacing(Tiny.space, with: "--space darts --set auxiliary_weight=0")
        .replacing("--epochs 2", with: "--epochs 1")
        + " --architecture s/architecture.json --inherit s/checkpoint.safetensors --seeds 2 "
        + "--output r --json")
    #expect(result.code == 0, "\(result.errors)")
    #expect(runner.has("r/seed-0/checkpoint.safetensors"))
    #expect(runner.has("r/seed-1/checkpoint.safetensors"))
    #expect(try result.json()["test_accuracy_std"] != nil)
    #expect(result.errors.contains("start fresh"), "batch norm has no weights in a supernet")
    try runner.expectFailure(
      "retrain \(Tiny.data) --space darts --set channels=4 --architecture s/architecture.json "
        + "--inherit s/checkpoint.safetensors --output x", naming: ["channels=2"])
  }
}
