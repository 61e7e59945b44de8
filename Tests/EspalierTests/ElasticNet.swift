@testable import Espalier

/// Chosen widths, a kernel size, a depth and a number that the forward pass reads.
final class ElasticNet: Module, Layer {
  /// Not in order, so that a candidate's position is not its size.
  let width = ValueChoice([6, 2, 4])
  let kernel = ValueChoice([3, 5])
  let factor = ValueChoice([0.5, 2])
  let stem: ElasticConv2d
  let norm: ElasticBatchNorm2d
  let depth: Repeat
  let head: ElasticLinear

  override init() {
    stem = ElasticConv2d(1, .chosen(width), kernelSize: .chosen(kernel), bias: false)
    norm = ElasticBatchNorm2d(.chosen(width))
    depth = Repeat([1, 2, 3]) { [width, kernel] _ in ElasticBlock(width, kernel) }
    head = ElasticLinear(.chosen(width), 3)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let y = depth(tanh(norm(stem(x))) * Float(factor.number))
    return head(globalAveragePool2d(y).flattened())
  }
}

/// Expand, depthwise, project, and the input added; all blocks share the key of their inner width.
private final class ElasticBlock: Module, Layer {
  let hidden = ValueChoice([3, 7], key: "hidden")
  let expand: ElasticConv2d
  let depthwise: ElasticConv2d
  let norm: ElasticBatchNorm2d
  let project: ElasticConv2d

  init(_ width: ValueChoice, _ kernel: ValueChoice) {
    expand = ElasticConv2d(.chosen(width), .chosen(hidden), kernelSize: 1)
    depthwise = ElasticConv2d(depthwise: .chosen(hidden), kernelSize: .chosen(kernel))
    norm = ElasticBatchNorm2d(.chosen(hidden))
    project = ElasticConv2d(.chosen(hidden), .chosen(width), kernelSize: 1)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    project(tanh(norm(depthwise(tanh(expand(x)))))) + x
  }
}

/// The same network at one architecture, of plain layers: what elastic ones are compared with.
final class PlainNet: Module, Layer {
  let factor: Float
  let stem: Conv2d
  let norm: BatchNorm2d
  let depth: Sequential
  let head: Linear

  init(width: Int, hidden: Int, kernel: Int, depth count: Int, factor: Float) {
    self.factor = factor
    let size = IntPair(kernel, kernel)
    let padding = IntPair(kernel / 2, kernel / 2)
    stem = Conv2d(1, width, kernelSize: size, padding: padding, bias: false)
    norm = BatchNorm2d(width)
    depth = Sequential((0..<count).map { _ in PlainBlock(width, hidden, size, padding) })
    head = Linear(width, 3)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    head(globalAveragePool2d(depth(tanh(norm(stem(x))) * factor)).flattened())
  }

  /// The plain network of an architecture, with the first channels and the kernels' centres of the
  /// supernet's tensors.
  convenience init(_ choices: [String: ResolvedChoice], of net: ElasticNet) throws {
    func index(_ key: String) throws -> Int { choices[key]?.active.first ?? 0 }
    self.init(
      width: [6, 2, 4][try index("width")], hidden: [3, 7][try index("hidden")],
      kernel: [3, 5][try index("kernel")], depth: try index("depth") + 1,
      factor: [0.5, 2][try index("factor")])
    let sources = Dictionary(
      uniqueKeysWithValues: net.namedVariables().map { ($0.path, $0.variable) })
    for (path, variable) in namedVariables() {
      guard let source = sources[path] else { throw RunError("no \(path)") }
      let shape = variable.type.shape
      try variable.assign(part(of: try source.scalars(), source.type.shape, shape))
    }
  }
}

private final class PlainBlock: Module, Layer {
  let expand: Conv2d
  let depthwise: Conv2d
  let norm: BatchNorm2d
  let project: Conv2d

  init(_ width: Int, _ hidden: Int, _ size: IntPair, _ padding: IntPair) {
    expand = Conv2d(width, hidden, kernelSize: 1)
    depthwise = Conv2d(hidden, hidden, kernelSize: size, padding: padding, groups: hidden)
    norm = BatchNorm2d(hidden)
    project = Conv2d(hidden, width, kernelSize: 1)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    project(tanh(norm(depthwise(tanh(expand(x)))))) + x
  }
}

/// The first rows and columns and the centre of the kernel of a larger tensor.
func part(of all: [Float], _ large: Shape, _ small: Shape) -> [Float] {
  func padded(_ shape: Shape) -> [Int] {
    shape.dimensions + [Int](repeating: 1, count: 4 - shape.rank)
  }
  let (l, s) = (padded(large), padded(small))
  var result: [Float] = []
  for a in 0..<s[0] {
    for b in 0..<s[1] {
      for c in 0..<s[2] {
        for d in 0..<s[3] {
          let (y, x) = (c + (l[2] - s[2]) / 2, d + (l[3] - s[3]) / 2)
          result.append(all[((a * l[1] + b) * l[2] + y) * l[3] + x])
        }
      }
    }
  }
  return result
}
