import EspalierNN
import Testing

private class Base: Module {
  let second = Linear(2, 2)
  let first = Parameter([0], shape: [1])
}

private final class Derived: Base {
  let third = Linear(2, 1, bias: false)
  let number = 5
  let text = "not a module"
  let closure: (Int) -> Int = { $0 }
}

private final class Containers: Module {
  let present: Linear? = Linear(1, 1)
  let absent: Linear? = nil
  let list: [any Layer] = [ReLU(), Linear(1, 2), Linear(2, 1, bias: false)]
  let parameters2 = [Parameter([1], shape: [1]), Parameter([2], shape: [1])]
  let nested: [[Linear]] = [[Linear(1, 1, bias: false)], [Linear(1, 1, bias: false)]]
  let byName = ["zebra": Linear(1, 1, bias: false), "ant": Linear(1, 1, bias: false)]
  let maybe: [Linear?] = [nil, Linear(1, 1, bias: false)]
  let statistics = Buffer([3], shape: [1])
}

private final class Shared: Module {
  let a: Linear
  let b: Linear
  let lone: Parameter

  override init() {
    a = Linear(2, 3)
    b = a
    lone = a.weight
  }
}

private final class Renamed: Module {
  private let hidden = Linear(1, 1, bias: false)
  private let kept = Linear(1, 1, bias: false)

  override var children: [(name: String, member: any ModuleMember)] {
    [("renamed", hidden)] + reflectedChildren.filter { $0.name == "kept" }
  }
}

private final class Root: Module {
  let net = Sequential(
    Conv2d(1, 2, kernelSize: 3), BatchNorm2d(2), ReLU(), Sequential(Linear(3, 4)))
  let extra = Derived()
}

@Suite("Modules are found by reflection")
struct ModuleTests {
  @Test("Properties are found in the order of declaration, a superclass first")
  func order() {
    #expect(
      Derived().namedParameters.map(\.path)
        == ["second.weight", "second.bias", "first", "third.weight"])
  }

  @Test("Optionals, arrays, nested arrays and dictionaries are looked into, by name and position")
  func containers() {
    let model = Containers()
    #expect(
      model.namedParameters.map(\.path) == [
        "present.weight", "present.bias", "list.1.weight", "list.1.bias", "list.2.weight",
        "parameters2.0", "parameters2.1", "nested.0.0.weight", "nested.1.0.weight",
        "byName.ant.weight", "byName.zebra.weight", "maybe.1.weight",
      ])
    #expect(model.namedBuffers.map(\.path) == ["statistics"])
    #expect(
      model.namedModules.map(\.path) == [
        "", "present", "list.0", "list.1", "list.2", "nested.0.0", "nested.1.0", "byName.ant",
        "byName.zebra", "maybe.1",
      ])
  }

  @Test("State has PyTorch's names, running statistics too")
  func names() {
    #expect(
      Root().namedVariables().map(\.path) == [
        "net.0.weight", "net.0.bias", "net.1.weight", "net.1.bias", "net.1.running_mean",
        "net.1.running_var", "net.3.0.weight", "net.3.0.bias", "extra.second.weight",
        "extra.second.bias", "extra.first", "extra.third.weight",
      ])
  }

  @Test("A module or parameter that stands in two places is found once, under its first path")
  func shared() {
    let model = Shared()
    #expect(model.namedParameters.map(\.path) == ["a.weight", "a.bias"])
    #expect(model.namedModules.map(\.path) == ["", "a"])
    #expect(model.parameterCount == 9)
    #expect(model.parameters.first === model.a.weight)
  }

  @Test("A container names its own children by overriding children")
  func renamed() {
    #expect(Renamed().namedParameters.map(\.path) == ["renamed.weight", "kept.weight"])
  }

  @Test("The number of parameters is the sum of their elements, buffers not counted")
  func count() {
    // 2·9 + 2, 2 + 2, 4·3 + 4; 2·2 + 2, 1, 2.
    #expect(Root().parameterCount == 20 + 4 + 16 + 9)
  }

  @Test("Flat storage keeps the values of all parameters and buffers")
  func flatStorage() throws {
    let model = Root()
    let before = try model.namedVariables().map { try $0.variable.scalars() as [Float] }
    let set = try ParameterSet(model)
    #expect(try model.namedVariables().map { try $0.variable.scalars() as [Float] } == before)
    #expect(set.named.map(\.path) == model.namedParameters.map(\.path))
    #expect(set.namedBuffers.map(\.path) == ["net.1.running_mean", "net.1.running_var"])
    #expect(try ParameterSet(Sequential(ReLU())).variables.isEmpty)
  }

  @Test("The same seed gives the same initial weights, another seed others")
  func seeds() throws {
    func weights(_ seed: UInt64) throws -> [Float] {
      try InitialWeights.with(seed: seed) { try Linear(4, 4).weight.variable.scalars() }
    }
    #expect(try weights(3) == weights(3))
    #expect(try weights(3) != weights(4))
  }
}
