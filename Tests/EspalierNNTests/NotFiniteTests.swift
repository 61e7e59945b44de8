import EspalierNN
import Testing

@Suite("Gradients that are not finite")
struct NotFiniteTests {
  @Test(
    "A gradient that is not finite changes nothing until checkFinite throws and names the step",
    arguments: [Float.nan, .infinity, -.infinity], ["sgd clip", "adam", "rmsprop both"])
  func notFinite(value: Float, name: String) throws {
    let goldens = try #require(OptimizerTests.goldens)
    let item = try #require(goldens.cases.first { $0.name == name })
    let parameters = try OptimizerTests.parameters()
    let optimizer = try OptimizerTests.make(item, parameters)
    let full = goldens.parameters.map { $0.floats.map { $0 * 0.5 } as [Float]? }
    try optimizer.update(with: OptimizerTests.gradients(parameters, full))
    try optimizer.checkFinite(step: 1)
    func everything() throws -> [[Float]] {
      try OptimizerTests.contents(parameters)
        + (try optimizer.state.tensors).flatMap { try $0.variables.map { try $0.scalars() } }
    }
    let before = try everything()
    var bad = full
    bad[2]?[1] = value
    try optimizer.update(with: OptimizerTests.gradients(parameters, bad))
    #expect(try everything() == before)
    // A good gradient behind it waits for the error to be seen.
    try optimizer.update(with: OptimizerTests.gradients(parameters, full))
    #expect(try everything() == before)
    let error = #expect(throws: DeviceError.self) { try optimizer.checkFinite(step: 17) }
    #expect(error.map { "\($0)".contains("17") } == true)
    try optimizer.checkFinite(step: 18)
    #expect(try optimizer.state.steps == parameters.map { _ in 1 })
    try optimizer.update(with: OptimizerTests.gradients(parameters, full))
    #expect(try optimizer.state.steps == parameters.map { _ in 2 })
    // As if the stopped updates had never been: an optimizer that saw only the good gradients.
    let others = try OptimizerTests.parameters()
    let other = try OptimizerTests.make(item, others)
    for _ in 0..<2 { try other.update(with: OptimizerTests.gradients(others, full)) }
    #expect(try OptimizerTests.contents(parameters) == OptimizerTests.contents(others))
    for (found, expected) in zip(try optimizer.state.tensors, try other.state.tensors) {
      for (x, y) in zip(found.variables, expected.variables) {
        #expect(try x.scalars() == y.scalars() as [Float], "\(found.name)")
      }
    }
  }

  @Test("A norm that is not finite stops the other optimizers too, until any of them reads it")
  func notFiniteStopsAll() throws {
    let weights = [Parameter([1, 2], shape: [2])]
    let alphas = [Parameter([3], shape: [1]), Parameter([4], shape: [1])]
    let first = try SGD(weights, learningRate: 1)
    let second = try Adam(alphas, learningRate: 0.5)
    try second.update(with: OptimizerTests.gradients(alphas, [[1], nil]))
    let before = try OptimizerTests.contents(weights + alphas)
    try first.update(with: OptimizerTests.gradients(weights, [[.nan, 1]]))
    try second.update(with: OptimizerTests.gradients(alphas, [[1], [1]]))
    try first.update(with: OptimizerTests.gradients(weights, [[1, 1]]))
    #expect(try OptimizerTests.contents(weights + alphas) == before)
    #expect(throws: DeviceError.self) { try second.checkFinite(step: 3) }
    try first.checkFinite(step: 3)
    #expect(try first.state.steps == [0])
    #expect(try second.state.steps == [1, 0])
    try first.update(with: OptimizerTests.gradients(weights, [[1, 1]]))
    try second.update(with: OptimizerTests.gradients(alphas, [[1], [1]]))
    #expect(try OptimizerTests.contents(weights)[0] == [0, 1])
    let twins = [Parameter([3], shape: [1]), Parameter([4], shape: [1])]
    let twin = try Adam(twins, learningRate: 0.5)
    try twin.update(with: OptimizerTests.gradients(twins, [[1], nil]))
    try twin.update(with: OptimizerTests.gradients(twins, [[1], [1]]))
    #expect(try OptimizerTests.contents(alphas) == OptimizerTests.contents(twins))
  }

  @Test("A flag that nobody read ends with its optimizers")
  func forgottenFlag() throws {
    do {
      let parameter = [Parameter([1], shape: [1])]
      try SGD(parameter, learningRate: 1).update(
        with: OptimizerTests.gradients(parameter, [[.infinity]]))
    }
    let parameter = [Parameter([1], shape: [1])]
    let optimizer = try SGD(parameter, learningRate: 1)
    try optimizer.update(with: OptimizerTests.gradients(parameter, [[1]]))
    #expect(try OptimizerTests.contents(parameter) == [[0]])
    try optimizer.checkFinite(step: 1)
  }
}
