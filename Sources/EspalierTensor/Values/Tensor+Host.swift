/// Swift types that a tensor's elements can be.
public protocol TensorElement: Sendable {
  /// The element type in tensors.
  static var dtype: DType { get }
}

extension Float: TensorElement {
  /// float32.
  public static var dtype: DType { .float32 }
}
extension Double: TensorElement {
  /// float64.
  public static var dtype: DType { .float64 }
}
extension Int32: TensorElement {
  /// int32.
  public static var dtype: DType { .int32 }
}
extension Bool: TensorElement {
  /// bool.
  public static var dtype: DType { .bool }
}

/// The order in which host arrays list the elements of an image.
public enum HostOrder: Sendable {
  /// `[N, C, H, W]`, the last index fastest.
  case logical
  /// `[N, H, W, C]`, as images are stored.
  case channelsLast
}

extension Tensor {
  /// A tensor with the given elements on the current device.
  ///
  /// - Parameters:
  ///   - elements: In the order of `[N, C, H, W]`, last index fastest, unless `order` says otherwise.
  ///   - shape: The sizes; their product is the number of elements.
  public init<Element: TensorElement>(
    _ elements: [Element], shape: Shape, order: HostOrder = .logical
  ) throws(DeviceError) {
    precondition(
      elements.count == shape.count, "\(elements.count) elements for shape \(shape)")
    let type = TensorType(shape, Element.dtype)
    let slice = try Tensor.upload(
      order == .logical ? reordered(elements, type, toMemory: true) : elements, type)
    self.init(Value(type: type, device: Device.current, slice: slice))
  }

  /// A vector with the given elements.
  public init<Element: TensorElement>(_ elements: [Element]) throws(DeviceError) {
    try self.init(elements, shape: [elements.count])
  }

  static func upload<Element>(
    _ elements: [Element], _ type: TensorType, on device: Device = Device.current
  ) throws(DeviceError) -> Slice {
    let backend = try Engine.shared.backend(device)
    let slice = Slice(buffer: try backend.pool.make(type.byteCount, on: backend), byteOffset: 0)
    try Tensor.write(elements, to: slice, backend)
    return slice
  }

  static func write<Element>(
    _ elements: [Element], to slice: Slice, _ backend: any Backend
  ) throws(DeviceError) {
    let result = elements.withUnsafeBytes { bytes -> Result<Void, DeviceError> in
      do throws(DeviceError) {
        return .success(try backend.write(bytes, to: slice))
      } catch { return .failure(error) }
    }
    try result.get()
  }

  /// The elements, in the order of `[N, C, H, W]`; runs what is needed and waits.
  ///
  /// - Precondition: `Element` is the tensor's element type.
  public func scalars<Element: TensorElement>(as type: Element.Type = Float.self)
    throws(DeviceError) -> [Element]
  {
    precondition(dtype == Element.dtype, "the tensor is \(dtype), not \(Element.dtype)")
    let elements: [Element] = try storedElements()
    return reordered(elements, value.type, toMemory: false)
  }

  /// The elements as they lie in memory.
  func storedElements<Element>() throws(DeviceError) -> [Element] {
    let slice = try store()
    let count = shape.count
    let backend = slice.buffer.backend
    var outcome: Result<Void, DeviceError> = .success(())
    let elements = [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      let bytes = UnsafeMutableRawBufferPointer(
        start: buffer.baseAddress, count: count * MemoryLayout<Element>.stride)
      do throws(DeviceError) {
        if Rehearsal.isRunning {
          bytes.initializeMemory(as: UInt8.self, repeating: 0)
        } else {
          try backend.read(slice, into: bytes)
        }
        initialized = count
      } catch {
        outcome = .failure(error)
        initialized = 0
      }
    }
    try outcome.get()
    return elements
  }

  /// The only element of a one-element float32 or float64 tensor.
  public func item() throws(DeviceError) -> Double {
    precondition(shape.count == 1, "item() of a tensor of shape \(shape)")
    switch dtype {
    case .float32: return Double(try scalars(as: Float.self)[0])
    case .float64: return try scalars(as: Double.self)[0]
    case .int32: return Double(try scalars(as: Int32.self)[0])
    case .bool: return try scalars(as: Bool.self)[0] ? 1 : 0
    }
  }

  /// The same tensor on another device; runs what is needed and waits.
  public func to(_ device: Device) throws(DeviceError) -> Tensor {
    if device == self.device { return self }
    let bytes: [UInt8]
    let slice = try store()
    var buffer = [UInt8](repeating: 0, count: value.type.byteCount)
    let result = buffer.withUnsafeMutableBytes { target -> Result<Void, DeviceError> in
      do throws(DeviceError) {
        return .success(try slice.buffer.backend.read(slice, into: target))
      } catch { return .failure(error) }
    }
    try result.get()
    bytes = buffer
    return Tensor(
      Value(
        type: value.type, device: device, slice: try Tensor.upload(bytes, value.type, on: device)))
  }

  /// A copy that later updates do not touch.
  public func snapshot() throws(DeviceError) -> Tensor {
    let copy = record(Copy(carriesGradient: false), self)
    _ = try copy.store()
    return copy
  }
}

/// Elements between logical order and the order of memory.
func reordered<Element>(_ elements: [Element], _ type: TensorType, toMemory: Bool) -> [Element] {
  if type.isLogicallyOrdered || elements.isEmpty { return elements }
  let s = type.shape.dimensions
  let strides = type.strides
  var result = elements
  var logical = 0
  for a in 0..<s[0] {
    for b in 0..<s[1] {
      for c in 0..<s[2] {
        var memory = a * strides[0] + b * strides[1] + c * strides[2]
        for _ in 0..<s[3] {
          if toMemory {
            result[memory] = elements[logical]
          } else {
            result[logical] = elements[memory]
          }
          memory += strides[3]
          logical += 1
        }
      }
    }
  }
  return result
}

extension Variable {
  /// A variable on the current device with the given elements, in logical order.
  public convenience init<Element: TensorElement>(
    _ elements: [Element], shape: Shape, isConvolutionWeight: Bool = false
  ) throws(DeviceError) {
    precondition(elements.count == shape.count, "\(elements.count) elements for shape \(shape)")
    let type = TensorType(
      shape, Element.dtype, isConvolutionWeight ? .convolutionWeight : .standard)
    let slice = try Tensor.upload(reordered(elements, type, toMemory: true), type)
    self.init(type: type, device: Device.current, slice: slice)
  }

  /// A float32 variable on the current device whose contents are undefined: memory that nobody touches
  /// is only promised.
  package convenience init(unwritten shape: Shape, isConvolutionWeight: Bool = false)
    throws(DeviceError)
  {
    let type = TensorType(shape, .float32, isConvolutionWeight ? .convolutionWeight : .standard)
    let backend = try Engine.shared.backend(Device.current)
    let buffer = try backend.pool.make(type.byteCount, on: backend)
    self.init(type: type, device: Device.current, slice: Slice(buffer: buffer, byteOffset: 0))
  }

  /// Replaces the contents, elements in logical order.
  public func assign<Element: TensorElement>(_ elements: [Element]) throws(DeviceError) {
    precondition(
      elements.count == type.shape.count && Element.dtype == type.dtype,
      "\(elements.count) \(Element.dtype) elements for \(type)")
    try Executor.finishBeforeWrite()
    try Tensor.write(reordered(elements, type, toMemory: true), to: slice, slice.buffer.backend)
    touch()
  }

  /// The contents, in logical order.
  public func scalars<Element: TensorElement>(as type: Element.Type = Float.self)
    throws(DeviceError) -> [Element]
  { try tensor.scalars(as: Element.self) }
}
