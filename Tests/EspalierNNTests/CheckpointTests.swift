import EspalierNN
import Testing

private final class Net: Module {
  let body: Sequential
  let head: Linear

  init(_ outputs: Int = 2, withBatchNorm: Bool = true) {
    body =
      withBatchNorm
      ? Sequential(Conv2d(1, 2, kernelSize: 3, padding: 1), BatchNorm2d(2))
      : Sequential(Conv2d(1, 2, kernelSize: 3, padding: 1))
    head = Linear(2, outputs)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    head(globalAveragePool2d(body(x)).flattened())
  }
}

/// A container that forgets one of two layers, and the names it had before.
private final class Pruned: Module, Layer {
  private let kept: any Layer
  private let name: String

  init(_ kept: any Layer, name: String) {
    self.kept = kept
    self.name = name
  }

  override var children: [(name: String, member: any ModuleMember)] { [("", kept)] }
  override var supernetChildren: [(name: String, member: any ModuleMember)] { [(name, kept)] }
  func callAsFunction(_ x: Tensor) -> Tensor { kept(x) }
}

@Suite("Checkpoints")
struct CheckpointTests {
  private func contents(_ model: Module) throws -> [[Float]] {
    try model.namedVariables().map { try $0.variable.scalars() }
  }

  private func train(_ net: Net, _ optimizer: any Optimizer, steps: Range<Int>) throws {
    let weights = net.parameters.map(\.variable)
    for number in steps {
      let x = try Tensor((0..<32).map { Float(($0 * 7 + number) % 5) - 2 }, shape: [2, 1, 4, 4])
      try step {
        let (_, gradients) = try valueAndGradient(wrt: weights) { square(net(x) - 1).sum() }
        try optimizer.update(with: gradients)
      }
    }
  }

  @Test(
    "A model and its optimizer go on from a checkpoint file as if nothing had happened",
    arguments: ["sgd", "adam", "rmsprop"])
  func roundTrip(name: String) throws {
    func optimizer(_ net: Net) throws -> any Optimizer {
      switch name {
      case "sgd": try SGD(net.parameters, learningRate: 0.01, momentum: 0.9, dampening: 0.1)
      case "adam": try Adam(net.parameters, learningRate: 0.01)
      default: try RMSProp(net.parameters, learningRate: 0.01, momentum: 0.5, centered: true)
      }
    }
    try withTemporaryFolder { folder in
      let path = folder + "/c.safetensors"
      let net = InitialWeights.with(seed: 1) { Net() }
      let first = try optimizer(net)
      try train(net, first, steps: 0..<5)
      var checkpoint = Checkpoint()
      try checkpoint.add(net)
      try checkpoint.add(first, "weights")
      checkpoint.file.metadata["note"] = "ä"
      try checkpoint.file.write(to: path)
      try train(net, first, steps: 5..<9)

      let other = InitialWeights.with(seed: 2) { Net() }
      let second = try optimizer(other)
      let loaded = Checkpoint(try Safetensors(contentsOf: path))
      #expect(loaded.file.metadata["note"] == "ä")
      try loaded.restore(other)
      try loaded.restore(second, "weights")
      #expect(try second.state.steps == [5, 5, 5, 5, 5, 5])
      try train(other, second, steps: 5..<9)
      #expect(try contents(other) == contents(net))
    }
  }

  @Test("Equal states give equal bytes")
  func equalBytes() throws {
    func bytes() throws -> Safetensors {
      let net = InitialWeights.with(seed: 3) { Net() }
      var checkpoint = Checkpoint()
      try checkpoint.add(net)
      return checkpoint.file
    }
    #expect(try bytes() == bytes())
  }

  @Test("What does not fit is refused, with the file and the tensor named")
  func mismatches() throws {
    var checkpoint = Checkpoint()
    try checkpoint.add(Net(withBatchNorm: false))
    func message(_ body: () throws -> Void) -> String {
      do { try body() } catch { return "\(error)" }
      return "no error"
    }
    // Tensors that the file lacks.
    let lacks = message { try checkpoint.restore(Net(), name: "a.safetensors") }
    #expect(lacks.contains("a.safetensors") && lacks.contains("body.1.weight"), "\(lacks)")
    #expect(lacks.contains("3 more"), "\(lacks)")
    #expect(
      try checkpoint.restore(Net(), allowsMissing: true)
        == ["body.1.weight", "body.1.bias", "body.1.running_mean", "body.1.running_var"])
    // Another shape.
    let shape = message {
      try checkpoint.restore(Net(5, withBatchNorm: false), name: "b.safetensors")
    }
    #expect(
      shape.contains("b.safetensors") && shape.contains("head.weight") && shape.contains("[2, 2]")
        && shape.contains("[5, 2]"), "\(shape)")
    // Another optimizer.
    let net = Net()
    let sgd = try SGD(net.parameters, learningRate: 1, momentum: 0.5)
    var other = Checkpoint()
    try other.add(sgd, "weights")
    let tensor = message {
      try other.restore(try Adam(net.parameters, learningRate: 1), "weights")
    }
    #expect(tensor.contains("optimizer/weights/exp_avg/0"), "\(tensor)")
    let count = message {
      try Checkpoint().restore(try SGD(net.parameters, learningRate: 1), "weights")
    }
    #expect(count.contains("weights") && count.contains("6 parameters"), "\(count)")
  }

  @Test("A pruned model takes a supernet's tensors under the names they had there")
  func intoPruned() throws {
    let supernet = Sequential(
      Sequential(Linear(2, 2, bias: false), Linear(2, 2, bias: false)), Linear(2, 1))
    var checkpoint = Checkpoint()
    try checkpoint.add(supernet)
    let kept = Linear(2, 2, bias: false)
    let pruned = Sequential(Pruned(kept, name: "1"), Linear(2, 1))
    #expect(pruned.namedParameters.map(\.path) == ["0.weight", "1.weight", "1.bias"])
    try checkpoint.restore(pruned)
    #expect(try contents(pruned) == Array(contents(supernet).dropFirst()))
    // And its own.
    var own = Checkpoint()
    try own.add(pruned)
    #expect(own.file.entries.keys.sorted() == ["0.weight", "1.bias", "1.weight"])
    let again = Sequential(Pruned(Linear(2, 2, bias: false), name: "1"), Linear(2, 1))
    try own.restore(again)
    #expect(try contents(again) == contents(pruned))
  }

  @Test("A pruned choice's own path does not hide the tensor that it had in the supernet")
  func collidingNames() throws {
    // Candidate "0" is a layer, candidate "1" a sequence: pruned to "1", its first layer is "0.0".
    let supernet = Sequential(
      Sequential(Linear(2, 2, bias: false), Sequential(Linear(2, 2, bias: false))))
    #expect(supernet.namedParameters.map(\.path) == ["0.0.weight", "0.1.0.weight"])
    var checkpoint = Checkpoint()
    try checkpoint.add(supernet)
    let pruned = Sequential(Pruned(Sequential(Linear(2, 2, bias: false)), name: "1"))
    #expect(pruned.namedParameters.map(\.path) == ["0.0.weight"])
    try checkpoint.restore(pruned)
    #expect(try contents(pruned)[0] == contents(supernet)[1])
  }
}
