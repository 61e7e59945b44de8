/// A tensor that training changes.
public final class Parameter {
  /// The storage; optimizers write it in place.
  public let variable: Variable

  /// A parameter with the given elements, in the order of `[N, C, H, W]`.
  ///
  /// - Parameter isConvolutionWeight: Whether it is a weight `[K, C / groups, R, S]`, which lies in
  ///   memory as convolutions want it.
  public init(_ elements: [Float], shape: Shape, isConvolutionWeight: Bool = false) {
    do throws(DeviceError) {
      variable = try Variable(elements, shape: shape, isConvolutionWeight: isConvolutionWeight)
    } catch {
      // Models are built before anything runs; there is no state to save.
      preconditionFailure("parameter \(shape): \(error)")
    }
  }

  /// A parameter over storage that exists.
  public init(_ variable: Variable) { self.variable = variable }

  /// The contents; valid until the next update.
  public var value: Tensor { variable.tensor }
  /// The sizes.
  public var shape: Shape { variable.type.shape }
}

/// A tensor that belongs to a module but is not trained: running statistics.
public final class Buffer {
  /// The storage.
  public let variable: Variable

  /// A buffer with the given elements, in the order of `[N, C, H, W]`.
  public init(_ elements: [Float], shape: Shape) {
    do throws(DeviceError) {
      variable = try Variable(elements, shape: shape)
    } catch {
      preconditionFailure("buffer \(shape): \(error)")
    }
  }

  /// The contents; valid until the next update.
  public var value: Tensor { variable.tensor }
}

/// The parameters and buffers of a model in flat storage.
public final class ParameterSet {
  /// Parameters with their paths.
  public let named: [(path: String, parameter: Parameter)]
  /// Buffers with their paths.
  public let namedBuffers: [(path: String, buffer: Buffer)]
  /// Where all of them lie; nil for a model without any.
  public let storage: FlatStorage?

  /// Moves all parameters and buffers of `root` into flat storage.
  public init(_ root: Module) throws(DeviceError) {
    named = root.namedParameters
    namedBuffers = root.namedBuffers
    let all = named.map(\.parameter.variable) + namedBuffers.map(\.buffer.variable)
    storage = all.isEmpty ? nil : try FlatStorage(all)
  }

  /// The parameters' storage, for gradients.
  public var variables: [Variable] { named.map(\.parameter.variable) }
}
