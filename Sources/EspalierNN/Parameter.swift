/// A tensor that training changes.
public final class Parameter {
  /// The storage; optimizers write it in place.
  public let variable: Variable
  /// Where it was cut out of a larger parameter, if it was.
  public let window: TensorWindow?

  /// A parameter with the given elements, in the order of `[N, C, H, W]`.
  ///
  /// - Parameter isConvolutionWeight: Whether it is a weight `[K, C / groups, R, S]`, which lies in
  ///   memory as convolutions want it.
  public init(_ elements: [Float], shape: Shape, isConvolutionWeight: Bool = false) {
    window = nil
    do throws(DeviceError) {
      variable =
        ShapeOnly.isOn
        ? try Variable(unwritten: shape, isConvolutionWeight: isConvolutionWeight)
        : try Variable(elements, shape: shape, isConvolutionWeight: isConvolutionWeight)
    } catch {
      // Models are built before anything runs; there is no state to save.
      preconditionFailure("parameter \(shape): \(error)")
    }
  }

  /// A parameter over storage that exists.
  public init(_ variable: Variable) {
    self.variable = variable
    window = nil
  }

  /// What is kept of another parameter, with its values.
  ///
  /// - Parameter ranges: What is kept of each axis.
  public init(
    _ ranges: [Range<Int>], of other: Parameter, isConvolutionWeight: Bool = false
  ) throws(DeviceError) {
    let window = TensorWindow(ranges, in: other.shape)
    variable = try Variable(
      window.elements(of: other.variable.scalars()), shape: window.kept,
      isConvolutionWeight: isConvolutionWeight)
    self.window = window
  }

  /// The contents; valid until the next update.
  public var value: Tensor { variable.tensor }
  /// The sizes.
  public var shape: Shape { variable.type.shape }
}

/// A tensor that belongs to a module but is not trained: running statistics.
public final class Buffer {
  /// The storage.
  public let variable: Variable
  /// Where it was cut out of a larger buffer, if it was.
  public let window: TensorWindow?

  /// A buffer with the given elements, in the order of `[N, C, H, W]`.
  public init(_ elements: [Float], shape: Shape) {
    window = nil
    do throws(DeviceError) {
      variable =
        ShapeOnly.isOn ? try Variable(unwritten: shape) : try Variable(elements, shape: shape)
    } catch {
      preconditionFailure("buffer \(shape): \(error)")
    }
  }

  /// What is kept of another buffer, with its values.
  ///
  /// - Parameter ranges: What is kept of each axis.
  public init(_ ranges: [Range<Int>], of other: Buffer) throws(DeviceError) {
    let window = TensorWindow(ranges, in: other.variable.type.shape)
    variable = try Variable(
      window.elements(of: other.variable.scalars()), shape: window.kept)
    self.window = window
  }

  /// The contents; valid until the next update.
  public var value: Tensor { variable.tensor }
}
