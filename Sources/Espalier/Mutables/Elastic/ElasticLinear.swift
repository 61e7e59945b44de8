/// `y = x·Wᵀ + b` whose numbers of features may be choices: `[N, in]` → `[N, out]`.
///
/// The supernet holds the weight of the largest size; a chosen number of outputs keeps the first
/// ones and gives zeros for the others. Behind a flattened image of `C` chosen channels the inputs
/// are `.chosen(channels, times: H · W)`.
public final class ElasticLinear: Module, Layer, ElasticLayer {
  /// `[out, in]`.
  public private(set) var weight: Parameter
  /// `[out]`, or nil.
  public private(set) var bias: Parameter?
  private let inputFeatures: LayerSize
  private let outputFeatures: LayerSize
  private let masks: SizeMasks

  /// A linear layer with random weights.
  public init(_ inputFeatures: LayerSize, _ outputFeatures: LayerSize, bias hasBias: Bool = true) {
    let largest = Linear(inputFeatures.largest, outputFeatures.largest, bias: hasBias)
    weight = largest.weight
    bias = largest.bias
    self.inputFeatures = inputFeatures
    self.outputFeatures = outputFeatures
    masks = SizeMasks(outputFeatures, shape: [outputFeatures.largest]) { $1 < $0 }
  }

  /// Weight and bias, then choices that stand nowhere else.
  public override var children: [(name: String, member: any ModuleMember)] {
    reflectedChildren
      + choiceChildren(["inputFeatures": inputFeatures, "outputFeatures": outputFeatures])
  }

  /// `[N, in]` → `[N, out]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    if NarrowRun.isCurrent {
      let ranges = ranges(\.decided)
      return linear(x, weight.value.slice(ranges), bias?.value.slice([ranges[0]]))
    }
    let y = linear(x, weight.value, bias?.value)
    return masks.current.map { y * $0 } ?? y
  }

  /// What is kept of each axis of the weight.
  private func ranges(_ size: (LayerSize) -> Int) -> [Range<Int>] {
    [0..<size(outputFeatures), 0..<size(inputFeatures)]
  }

  func cut() throws(DeviceError) {
    let ranges = ranges(\.kept)
    weight = try Parameter(ranges, of: weight)
    if let old = bias { bias = try Parameter([ranges[0]], of: old) }
  }

  func parameterCount(_ size: (LayerSize) -> Int) -> Int {
    size(outputFeatures) * (size(inputFeatures) + (bias == nil ? 0 : 1))
  }
}
