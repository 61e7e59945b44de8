extension OneDNN {
  /// One direction of a convolution on the case's inputs; nil where oneDNN cannot.
  func convolution(
    _ shape: ConvolutionShape, _ direction: ConvolutionShape.Direction, _ first: [Double],
    _ second: [Double]
  ) -> (any RivalCall)? {
    Convolution(self, shape, direction, first, second)
  }

  /// Formats and memory of one operand: ours and the library's choice.
  private struct Operand {
    var plain: Descriptor
    var free: Descriptor
    var argument: Int32
    var query: Int32
    var numbers: FloatMemory
    var plainMemory: Handle?
    var memory: Handle?
  }

  private final class Convolution: RivalCall {
    private let library: OneDNN
    private let primitive: Handle
    private var arguments: [(Int32, Handle?)] = []
    private var output: Operand
    private let outputFormat: UnsafeRawPointer

    init?(
      _ library: OneDNN, _ shape: ConvolutionShape, _ direction: ConvolutionShape.Direction,
      _ first: [Double], _ second: [Double]
    ) {
      self.library = library
      let s = shape
      let isGrouped = s.groups > 1
      let weightSizes =
        isGrouped
        ? [s.groups, s.outputs / s.groups, s.channels / s.groups, s.kernel, s.kernel]
        : [s.outputs, s.channels, s.kernel, s.kernel]
      // Our order of weights is theirs only where a group has one channel.
      guard !isGrouped || s.isDepthwise else { return nil }
      func operand(
        _ sizes: [Int], _ format: Int32, _ argument: Int32, _ query: Int32, _ values: [Double]?
      ) -> Operand? {
        guard let plain = library.descriptor(sizes, format),
          let free = library.descriptor(sizes, Constant.anyFormat)
        else { return nil }
        return Operand(
          plain: plain, free: free, argument: argument, query: query,
          numbers: FloatMemory(sizes.reduce(1, *), values ?? []))
      }
      let isForward = direction == .forward
      let image = [s.images, s.channels, s.size, s.size]
      let result = [s.images, s.outputs, s.outputSize, s.outputSize]
      let toInput = direction == .backwardInput
      let toWeight = direction == .backwardWeight
      guard
        var x = operand(
          image, Constant.nhwc, toInput ? Argument.sourceGradient : Argument.source,
          toInput ? Constant.sourceGradient : Constant.source, toInput ? nil : first),
        var w = operand(
          weightSizes, isGrouped ? Constant.hwigo : Constant.hwio,
          toWeight ? Argument.weightsGradient : Argument.weights,
          toWeight ? Constant.weightsGradient : Constant.weights, toWeight ? nil : second),
        var y = operand(
          result, Constant.nhwc, isForward ? Argument.result : Argument.resultGradient,
          isForward ? Constant.result : Constant.resultGradient,
          isForward ? nil : toInput ? first : second)
      else { return nil }
      defer { for o in [x, w, y] { o.free.deallocate() } }

      // Backward passes ask for the forward's description as a hint. Dilation counts from 0 here.
      let strides = [Int64](repeating: Int64(s.stride), count: 2)
      let dilations = [Int64](repeating: Int64(s.dilation - 1), count: 2)
      let padding = [Int64](repeating: Int64(s.padding), count: 2)
      let description = Descriptor.allocate(byteCount: 16384, alignment: 16)
      defer { description.deallocate() }
      var forward: Handle?
      guard
        library.forwardInit(
          description, Constant.training, Constant.direct, x.free, w.free, nil, y.free, strides,
          dilations, padding, padding) == 0,
        library.describePrimitive(&forward, description, nil, library.engine, nil) == 0
      else { return nil }
      var chosen = forward
      if toInput {
        guard
          library.dataInit(
            description, Constant.direct, x.free, w.free, y.free, strides, dilations, padding,
            padding) == 0,
          library.describePrimitive(&chosen, description, nil, library.engine, forward) == 0
        else { return nil }
      } else if toWeight {
        guard
          library.weightsInit(
            description, Constant.direct, x.free, w.free, nil, y.free, strides, dilations,
            padding, padding) == 0,
          library.describePrimitive(&chosen, description, nil, library.engine, forward) == 0
        else { return nil }
      }
      guard let primitive = library.primitive(chosen) else { return nil }
      self.primitive = primitive

      /// Memory in the library's format, filled from ours.
      func fill(_ operand: inout Operand, isOutput: Bool) -> Bool {
        guard let format = library.query(chosen, operand.query, 0) else { return false }
        operand.plainMemory = library.memory(operand.plain, operand.numbers)
        operand.memory = library.memory(format)
        guard operand.plainMemory != nil, operand.memory != nil else { return false }
        return isOutput
          || library.reorder(operand.plainMemory, operand.plain, operand.memory, format)
      }
      guard fill(&x, isOutput: toInput), fill(&w, isOutput: toWeight), fill(&y, isOutput: isForward)
      else { return nil }
      output = isForward ? y : toInput ? x : w
      guard let format = library.query(chosen, output.query, 0) else { return nil }
      outputFormat = format
      arguments = [x, w, y].map { ($0.argument, $0.memory) }
    }

    func run() { library.execute(primitive, arguments) }

    var outputs: [Double] {
      guard library.reorder(output.memory, outputFormat, output.plainMemory, output.plain) else {
        return []
      }
      return output.numbers.numbers
    }
  }
}
