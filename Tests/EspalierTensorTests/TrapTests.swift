import EspalierTensor
import Foundation
import Testing

/// A call that must trap, and what its message must say.
struct Trap: Sendable, CustomStringConvertible {
  let name: String
  let message: [String]
  let call: @Sendable () throws -> Void

  var description: String { name }

  init(_ name: String, _ message: [String], _ call: @escaping @Sendable () throws -> Void) {
    self.name = name
    self.message = message
    self.call = call
  }
}

@Suite("Wrong calls trap with the operation's name and both shapes")
struct TrapTests {
  @Test("A wrong call traps and says why", arguments: Array(Trap.all.indices))
  func trap(_ index: Int) async throws {
    let trap = Trap.all[index]
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) { [index] in
      do { try Trap.all[index].call() } catch { print("threw \(error)") }
      exit(0)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    for part in trap.message {
      #expect(text.contains(part), "\(trap.name) should say \"\(part)\"")
    }
  }
}

private func t(_ shape: Shape) -> Tensor { Tensor(zeros: shape) }
private func d(_ shape: Shape) -> Tensor { Tensor(zeros: shape, dtype: .float64) }
private func labels(_ count: Int) throws -> Tensor {
  try Tensor([Int32](repeating: 0, count: count))
}

extension Trap {
  static let all: [Trap] = convolution + products + elementwise + shaping + meaning

  private static let convolution: [Trap] = [
    Trap("conv2d: channels", ["conv2d", "[2, 5, 4, 4]", "[7, 6, 3, 3]"]) {
      _ = conv2d(t([2, 5, 4, 4]), t([7, 6, 3, 3]))
    },
    Trap("conv2d: groups", ["conv2d", "[2, 6, 4, 4]", "[7, 3, 3, 3]", "groups 2"]) {
      _ = conv2d(t([2, 6, 4, 4]), t([7, 3, 3, 3]), groups: 2)
    },
    Trap("conv2d: rank", ["conv2d", "[6, 4]", "[7, 3, 3, 3]"]) {
      _ = conv2d(t([6, 4]), t([7, 3, 3, 3]))
    },
    Trap("conv2d: types", ["conv2d", "float32 [1, 3, 4, 4]", "float64 [7, 3, 3, 3]"]) {
      _ = conv2d(t([1, 3, 4, 4]), d([7, 3, 3, 3]))
    },
    Trap("conv2d: small input", ["conv2d", "[1, 3, 2, 4]", "[7, 3, 3, 3]"]) {
      _ = conv2d(t([1, 3, 2, 4]), t([7, 3, 3, 3]))
    },
    Trap("conv2d: small input under a stride", ["conv2d", "[1, 3, 2, 2]", "[7, 3, 3, 3]"]) {
      _ = conv2d(t([1, 3, 2, 2]), t([7, 3, 3, 3]), stride: 2)
    },
    Trap("conv2d: stride 0", ["conv2d", "stride"]) {
      _ = conv2d(t([1, 3, 4, 4]), t([7, 3, 3, 3]), stride: 0)
    },
    Trap("conv2d: negative padding", ["conv2d", "padding"]) {
      _ = conv2d(t([1, 3, 4, 4]), t([7, 3, 3, 3]), padding: -1)
    },
    Trap("conv2d: bias", ["conv2d", "[5]", "[7, 3, 3, 3]"]) {
      _ = conv2d(t([1, 3, 4, 4]), t([7, 3, 3, 3]), t([5]))
    },
    Trap("maxPool2d: rank", ["maxPool2d", "[4, 4]"]) { _ = maxPool2d(t([4, 4]), kernelSize: 2) },
    Trap("maxPool2d: window", ["maxPool2d", "[1, 3, 2, 2]", "[3, 3]"]) {
      _ = maxPool2d(t([1, 3, 2, 2]), kernelSize: 3)
    },
    Trap("maxPool2d: padding", ["maxPool2d", "padding"]) {
      _ = maxPool2d(t([1, 3, 4, 4]), kernelSize: 3, padding: 2)
    },
    Trap("averagePool2d: rank", ["averagePool2d", "[4]"]) {
      _ = averagePool2d(t([4]), kernelSize: 2)
    },
    Trap("globalAveragePool2d: rank", ["globalAveragePool2d", "[4, 4]"]) {
      _ = globalAveragePool2d(t([4, 4]))
    },
    Trap("batchNorm: rank", ["batchNorm", "[3, 4, 5]"]) { _ = batchNorm(t([3, 4, 5])) },
    Trap("batchNorm: gamma", ["batchNorm", "[2, 4, 3, 3]", "[5]"]) {
      _ = batchNorm(t([2, 4, 3, 3]), gamma: t([5]), beta: t([4]))
    },
    Trap("batchNorm: gamma alone", ["batchNorm", "gamma and beta"]) {
      _ = batchNorm(t([2, 4, 3, 3]), gamma: t([4]))
    },
    Trap("batchNorm: empty batch", ["batchNorm", "[0, 4, 3, 3]"]) {
      _ = batchNorm(t([0, 4, 3, 3]))
    },
    Trap("normalize: mean", ["batchNorm", "[2, 4, 3, 3]", "[3]"]) {
      _ = normalize(t([2, 4, 3, 3]), mean: t([3]), variance: t([4]))
    },
  ]

  private static let products: [Trap] = [
    Trap("matmul: inner size", ["matmul", "[2, 3]", "[4, 5]"]) {
      _ = matmul(t([2, 3]), t([4, 5]))
    },
    Trap("matmul: batch", ["matmul", "[2, 3, 4]", "[3, 4, 5]"]) {
      _ = matmul(t([2, 3, 4]), t([3, 4, 5]))
    },
    Trap("matmul: rank", ["matmul", "[3]", "[3, 4]"]) { _ = matmul(t([3]), t([3, 4])) },
    Trap("matmul: types", ["matmul", "float32 [2, 3]", "float64 [3, 4]"]) {
      _ = matmul(t([2, 3]), d([3, 4]))
    },
    Trap("linear: features", ["matmul", "[2, 3]", "[5, 4]"]) { _ = linear(t([2, 3]), t([5, 4])) },
    Trap("linear: bias", ["linear", "[4]", "[5, 3]"]) {
      _ = linear(t([2, 3]), t([5, 3]), t([4]))
    },
    Trap("crossEntropy: samples", ["crossEntropy", "[3, 5]", "[4]"]) {
      _ = crossEntropy(t([3, 5]), try labels(4))
    },
    Trap("crossEntropy: float labels", ["crossEntropy", "float32 [3]"]) {
      _ = crossEntropy(t([3, 5]), t([3]))
    },
    Trap("meanSquaredError: shapes", ["meanSquaredError", "[3]", "[4]"]) {
      _ = meanSquaredError(t([3]), t([4]))
    },
    Trap("klDivergence: shapes", ["klDivergence", "[3]", "[4]"]) {
      _ = klDivergence(logTarget: t([3]), logPrediction: t([4]))
    },
    Trap("gather: rank", ["gather", "[3, 4, 5]", "[2]"]) {
      _ = t([3, 4, 5]).gathered(try labels(2))
    },
    Trap("gather: float index", ["gather", "float32 [2]"]) { _ = t([3, 4]).gathered(t([2])) },
    Trap("oneHot: floats", ["oneHot", "float32 [2]"]) { _ = t([2]).oneHot(classes: 4) },
  ]

  private static let elementwise: [Trap] = [
    Trap("add: shapes", ["add", "[2, 3]", "[2, 4]"]) { _ = t([2, 3]) + t([2, 4]) },
    Trap("multiply: types", ["multiply", "float32 [2]", "float64 [2]"]) { _ = t([2]) * d([2]) },
    Trap("maximum: shapes", ["maximum", "[3]", "[2]"]) { _ = maximum(t([3]), t([2])) },
    Trap("greater: shapes", ["greater", "[3]", "[2]"]) { _ = t([3]) .> t([2]) },
    Trap("pow: shapes", ["power", "[3]", "[2]"]) { _ = pow(t([3]), t([2])) },
    Trap("add: bool", ["add", "bool [1]"]) {
      _ = try Tensor([true]) + Tensor([true])
    },
    Trap("exp: integers", ["exp", "int32 [2]"]) { _ = exp(try labels(2)) },
    Trap("sum: integers", ["sum", "int32 [2]"]) { _ = try labels(2).sum() },
    Trap("softmax: integers", ["softmax", "int32 [2]"]) { _ = softmax(try labels(2)) },
    Trap("which: condition", ["which", "float32 [2]"]) { _ = which(t([2]), t([2]), t([2])) },
    Trap("which: shapes", ["which", "[3]", "[2]"]) { _ = which(t([2]) .> 0, t([2]), t([3])) },
    Trap("sum: axis", ["axis 2", "[3, 4]"]) { _ = t([3, 4]).sum(axes: [2]) },
    Trap("max: nothing", ["max", "[0, 4]"]) { _ = t([0, 4]).max(axes: [0]) },
    Trap("softmax: axis", ["axis 3", "[3, 4]"]) { _ = softmax(t([3, 4]), axis: 3) },
    Trap("addAll: shapes", ["combine", "[2, 3]", "[3, 2]"]) {
      _ = addAll([t([2, 3]), t([3, 2])])
    },
    Trap("addAll: nothing", ["addAll"]) { _ = addAll([]) },
    Trap("weightedSum: few weights", ["weightedSum", "[1]"]) {
      _ = weightedSum([t([2]), t([2])], weights: t([1]))
    },
    Trap("weightedSum: indices", ["weightedSum", "1", "2"]) {
      _ = weightedSum([t([2]), t([2])], weights: t([2]), indices: [0])
    },
    Trap("dropout: channels of a vector", ["dropout", "[4]"]) {
      _ = dropout(t([4]), 0.5, unit: .channel)
    },
  ]

  private static let shaping: [Trap] = [
    Trap("reshape: count", ["reshape", "[2, 3]", "[2, 4]"]) {
      _ = t([2, 3]).reshaped(to: Shape([2, 4]))
    },
    Trap("reshape: free size", ["reshape", "[2, 3]", "[4, -1]"]) {
      _ = t([2, 3]).reshaped(to: [4, -1])
    },
    Trap("squeeze", ["squeeze", "[2, 3]"]) { _ = t([2, 3]).squeezingShape(at: 0) },
    Trap("permute: axes", ["permute", "[0, 0]", "[2, 3]"]) { _ = t([2, 3]).permuted([0, 0]) },
    Trap("transpose: vector", ["transpose", "[3]"]) { _ = t([3]).transposed() },
    Trap("slice: range", ["slice", "[2, 3]"]) { _ = t([2, 3]).slice(1..<5, axis: 1) },
    Trap("slice: step", ["slice", "step 0"]) { _ = t([2, 3]).slice(0..<2, axis: 1, step: 0) },
    Trap("slice: ranges", ["slice", "[2, 3]"]) { _ = t([2, 3]).slice(starts: [0], sizes: [1]) },
    Trap("pad: pairs", ["pad", "[2, 3]"]) { _ = t([2, 3]).padded([(1, 1)]) },
    Trap("pad: negative", ["pad", "[2, 3]"]) { _ = t([2, 3]).padded([(-1, 1), (0, 0)]) },
    Trap("concatenate: sizes", ["concatenate", "[2, 3]", "[3, 4]"]) {
      _ = concatenate([t([2, 3]), t([3, 4])], axis: 1)
    },
    Trap("concatenate: ranks", ["concatenate", "[2, 3]", "[2]"]) {
      _ = concatenate([t([2, 3]), t([2])], axis: 0)
    },
    Trap("concatenate: nothing", ["concatenate"]) { _ = concatenate([]) },
    Trap("broadcast", ["broadcast", "[2, 3]", "[2, 4]"]) { _ = t([2, 3]).broadcast(to: [2, 4]) },
    Trap("shape: rank", ["[1, 1, 1, 1, 1, 1, 1]"]) { _ = Shape([1, 1, 1, 1, 1, 1, 1]) },
    Trap("elements: count", ["3", "[2]"]) { _ = try Tensor([1, 2, 3] as [Float], shape: [2]) },
    Trap("scalars: type", ["float32", "float64"]) { _ = try t([2]).scalars(as: Double.self) },
    Trap("item: count", ["item", "[2]"]) { _ = try t([2]).item() },
  ]

  private static let meaning: [Trap] = [
    Trap("a value that its step did not return", ["binary [2]", "return it from step"]) {
      var kept: Tensor?
      let x = try Tensor([1, 2] as [Float])
      try step { kept = x + x }
      _ = try kept?.scalars()
    },
    Trap("such a value used in the next step", ["unary [2]", "return it from step"]) {
      var kept: Tensor?
      let x = try Tensor([1, 2] as [Float])
      try step { kept = exp(x) }
      try step { _ = try (x + (kept ?? x)).scalars() }
    },
    Trap("a parameter's value from before its update", ["[2]", "last update", "snapshot"]) {
      let variable = try Variable([1, 2] as [Float], shape: [2])
      let old = variable.tensor
      try variable.assign([3, 4] as [Float])
      _ = old + 1
    },
    Trap("a read of a parameter's old value", ["[2]", "last update"]) {
      let variable = try Variable([1, 2] as [Float], shape: [2])
      let old = variable.tensor
      try variable.assign([3, 4] as [Float])
      _ = try old.scalars()
    },
    Trap("a loss of several elements", ["loss", "[2]"]) {
      let x = try Tensor([1, 2] as [Float])
      _ = try valueAndGradient(wrt: [x]) { x * 2 }
    },
    Trap("the gradient of a maximum pool's gradient", ["max_pool2d", "gradient of its gradient"]) {
      let x = try Tensor([Float](repeating: 1, count: 16), shape: [1, 1, 4, 4])
      _ = try valueAndGradient(wrt: [x]) { () -> Tensor in
        let inner = try valueAndGradient(wrt: [x]) { square(maxPool2d(x, kernelSize: 2)).sum() }
        return (inner.gradients[0] ?? x).sum()
      }
    },
    Trap("a read in a custom gradient", ["cannot be read"]) {
      let x = try Tensor([1, 2] as [Float])
      _ = withGradient(of: x, wrt: [x]) { upstream in
        _ = try? upstream.scalars()
        return [upstream]
      }
    },
    Trap("a custom gradient with too few gradients", ["custom gradient"]) {
      let x = try Tensor([1, 2] as [Float])
      _ = withGradient(of: x, wrt: [x]) { _ in [] }
    },
  ]
}
