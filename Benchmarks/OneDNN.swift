import Foundation

/// Convolutions of oneDNN 2, in the memory formats that it likes best.
///
/// Its C interface is declared here, as far as it is needed, because its headers may be missing.
/// Descriptors are structures of 696 (memory) and 5976 (convolution) bytes; they get more.
final class OneDNN {
  typealias Handle = OpaquePointer
  typealias Descriptor = UnsafeMutableRawPointer
  typealias Sizes = UnsafePointer<Int64>?

  typealias EngineCreate = @convention(c) (UnsafeMutablePointer<Handle?>, Int32, Int) -> Int32
  typealias StreamCreate = @convention(c) (UnsafeMutablePointer<Handle?>, Handle?, UInt32) -> Int32
  typealias StreamWait = @convention(c) (Handle?) -> Int32
  typealias Describe = @convention(c) (Descriptor, Int32, Sizes, Int32, Int32) -> Int32
  typealias ForwardInit =
    @convention(c) (
      Descriptor, Int32, Int32, Descriptor, Descriptor, Descriptor?, Descriptor, Sizes, Sizes,
      Sizes,
      Sizes
    ) -> Int32
  typealias DataInit =
    @convention(c) (
      Descriptor, Int32, Descriptor, Descriptor, Descriptor, Sizes, Sizes, Sizes, Sizes
    ) -> Int32
  typealias WeightsInit =
    @convention(c) (
      Descriptor, Int32, Descriptor, Descriptor, Descriptor?, Descriptor, Sizes, Sizes, Sizes, Sizes
    ) -> Int32
  typealias PrimitiveDescribe =
    @convention(c) (
      UnsafeMutablePointer<Handle?>, Descriptor, Handle?, Handle?, Handle?
    ) -> Int32
  typealias Query = @convention(c) (Handle?, Int32, Int32) -> UnsafeRawPointer?
  typealias PrimitiveCreate = @convention(c) (UnsafeMutablePointer<Handle?>, Handle?) -> Int32
  typealias Execute = @convention(c) (Handle?, Handle?, Int32, UnsafeRawPointer?) -> Int32
  typealias ReorderDescribe =
    @convention(c) (
      UnsafeMutablePointer<Handle?>, UnsafeRawPointer, Handle?, UnsafeRawPointer, Handle?, Handle?
    ) -> Int32
  typealias MemoryCreate =
    @convention(c) (
      UnsafeMutablePointer<Handle?>, UnsafeRawPointer, Handle?, UnsafeMutableRawPointer?
    ) -> Int32
  typealias Version = @convention(c) () -> UnsafePointer<Int32>?

  /// oneDNN's own constants.
  enum Constant {
    static let float32: Int32 = 3
    static let (anyFormat, nhwc, hwio, hwigo): (Int32, Int32, Int32, Int32) = (1, 20, 30, 33)
    static let (training, direct): (Int32, Int32) = (64, 1)
    static let (source, sourceGradient): (Int32, Int32) = (129, 130)
    static let (weights, weightsGradient): (Int32, Int32) = (131, 132)
    static let (result, resultGradient): (Int32, Int32) = (133, 134)
    /// In place of an address: memory that the library obtains.
    static let ownMemory = UInt.max
  }

  /// Which argument of a primitive a memory is.
  enum Argument {
    static let (source, result, weights): (Int32, Int32, Int32) = (1, 17, 33)
    static let (sourceGradient, resultGradient, weightsGradient): (Int32, Int32, Int32) = (
      129, 145, 161
    )
  }

  let name: String
  let describe: Describe
  let forwardInit: ForwardInit
  let dataInit: DataInit
  let weightsInit: WeightsInit
  let describePrimitive: PrimitiveDescribe
  let query: Query
  private let createPrimitive: PrimitiveCreate
  private let executePrimitive: Execute
  private let describeReorder: ReorderDescribe
  private let createMemory: MemoryCreate
  private let wait: StreamWait
  private(set) var engine: Handle?
  private var stream: Handle?

  init?(threads: Int) {
    // Read by its threading library when that is loaded.
    setenv("OMP_NUM_THREADS", "\(threads)", 1)
    guard let library = DynamicLibrary("libdnnl.so.2", package: "libdnnl2"),
      let version = library.function("dnnl_version", as: Version.self)?(), version[0] == 2,
      let createEngine: EngineCreate = library.function("dnnl_engine_create"),
      let createStream: StreamCreate = library.function("dnnl_stream_create"),
      let wait: StreamWait = library.function("dnnl_stream_wait"),
      let describe: Describe = library.function("dnnl_memory_desc_init_by_tag"),
      let forwardInit: ForwardInit = library.function("dnnl_dilated_convolution_forward_desc_init"),
      let dataInit: DataInit = library.function(
        "dnnl_dilated_convolution_backward_data_desc_init"),
      let weightsInit: WeightsInit = library.function(
        "dnnl_dilated_convolution_backward_weights_desc_init"),
      let describePrimitive: PrimitiveDescribe = library.function("dnnl_primitive_desc_create"),
      let query: Query = library.function("dnnl_primitive_desc_query_md"),
      let createPrimitive: PrimitiveCreate = library.function("dnnl_primitive_create"),
      let execute: Execute = library.function("dnnl_primitive_execute"),
      let describeReorder: ReorderDescribe = library.function("dnnl_reorder_primitive_desc_create"),
      let createMemory: MemoryCreate = library.function("dnnl_memory_create")
    else { return nil }
    name = "oneDNN \(version[0]).\(version[1]).\(version[2])"
    self.describe = describe
    self.forwardInit = forwardInit
    self.dataInit = dataInit
    self.weightsInit = weightsInit
    self.describePrimitive = describePrimitive
    self.query = query
    self.createPrimitive = createPrimitive
    self.executePrimitive = execute
    self.describeReorder = describeReorder
    self.createMemory = createMemory
    self.wait = wait
    // 1: the CPU; 1: in order.
    guard createEngine(&engine, 1, 0) == 0, createStream(&stream, engine, 1) == 0 else {
      return nil
    }
  }

  /// A 4-D or 5-D memory descriptor; freed by the caller.
  func descriptor(_ sizes: [Int], _ format: Int32) -> Descriptor? {
    let result = Descriptor.allocate(byteCount: 2048, alignment: 16)
    let sizes = sizes.map(Int64.init)
    guard describe(result, Int32(sizes.count), sizes, Constant.float32, format) == 0 else {
      result.deallocate()
      return nil
    }
    return result
  }

  func primitive(_ description: Handle?) -> Handle? {
    var result: Handle?
    return createPrimitive(&result, description) == 0 ? result : nil
  }

  /// Memory of a format: `numbers`' own, or the library's.
  func memory(_ descriptor: UnsafeRawPointer, _ numbers: FloatMemory? = nil) -> Handle? {
    var result: Handle?
    let address =
      numbers.map { UnsafeMutableRawPointer($0.pointer) }
      ?? UnsafeMutableRawPointer(bitPattern: Constant.ownMemory)
    return createMemory(&result, descriptor, engine, address) == 0 ? result : nil
  }

  /// Copies from one format to another.
  func reorder(
    _ from: Handle?, _ fromFormat: UnsafeRawPointer, _ to: Handle?, _ toFormat: UnsafeRawPointer
  ) -> Bool {
    var description: Handle?
    guard describeReorder(&description, fromFormat, engine, toFormat, engine, nil) == 0,
      let primitive = primitive(description)
    else { return false }
    return execute(primitive, [(Argument.source, from), (Argument.result, to)])
  }

  /// Runs a primitive and waits.
  @discardableResult
  func execute(_ primitive: Handle, _ arguments: [(Int32, Handle?)]) -> Bool {
    arguments.withUnsafeBytes { bytes in
      executePrimitive(primitive, stream, Int32(arguments.count), bytes.baseAddress) == 0
    } && wait(stream) == 0
  }
}
