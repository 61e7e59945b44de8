import COpenCL

/// One OpenCL device.
///
/// Launches enter an in-order queue and return at once; only reads wait.
final class OpenCLBackend: Backend, @unchecked Sendable {
  let device: Device
  let pool = MemoryPool()
  static let planningAbilities = PlanningAbilities(
    fusions: [], rowsMixVariants: false, viewsChannels: false, hasThreadScratch: false)
  /// Of devices that are CPUs: the items of fused kernels are too large and too few for a GPU.
  static let planningAbilitiesOfCPUs = PlanningAbilities(
    fusions: [.fuseReluDepthwisePointwiseNeedingDepthwise], rowsMixVariants: false,
    viewsChannels: false, hasThreadScratch: false)
  let context: OpaquePointer
  let description: esp_cl_device
  let programs: OpenCLPrograms
  let staging: OpenCLStaging
  /// One lock for all devices: COpenCL is for one thread at a time.
  let lock = OpenCLBackends.lock
  /// `ESPALIER_SYNC=1` waits after each launch, so that an error names the call that caused it.
  let waitsForEachLaunch = environmentVariable("ESPALIER_SYNC") == "1"
  /// Elements between the bases of operands in one buffer; smaller in tests.
  var windowSpacing = OperandWindow.spacing
  /// Multiply-adds from which on CLBlast computes a matrix product; nil on CPUs, but for tests.
  var smallestBlastProduct: Int?
  lazy var isBlastInstalled = esp_cl_blast_load(nil, 0) == 0
  /// Whether CLBlast computed a product so far.
  var usedBlast = false
  var noted: Set<String> = []
  /// Where each launch's rows begin, while a program is sent.
  var firstRows: [UInt64] = []

  init(_ device: Device, _ description: esp_cl_device) throws(DeviceError) {
    self.device = device
    self.description = description
    var context: OpaquePointer?
    let error = CMessage()
    let status = esp_cl_open(Int32(device.index), 0, &context, error.buffer, error.capacity)
    guard status == 0, let context else {
      throw .failed(operation: "\(device)", reason: error.text)
    }
    self.context = context
    programs = OpenCLPrograms(context)
    staging = OpenCLStaging(context)
    if description.type == Int32(ESP_CL_GPU)
      && description.vendor_kind != Int32(ESP_CL_OCLGRIND)
    {
      // Below, the cost of CLBlast's call is near that of the own kernel's run: an estimate.
      smallestBlastProduct = 1 << 18
    }
  }

  /// Bytes in use and at most in use so far.
  var byteCounts: (used: Int, peak: Int) {
    lock.with { (Int(esp_cl_bytes_used(context)), Int(esp_cl_bytes_peak(context))) }
  }

  /// Bytes that buffers may take together; for tests of running out.
  var byteLimit: Int {
    get { lock.with { Int(esp_cl_bytes_limit(context)) } }
    set { lock.with { esp_cl_set_bytes_limit(context, UInt64(newValue)) } }
  }

  /// Whole cache lines, since the arena counts in them.
  var largestBuffer: Int { max(Int(description.max_allocation) & ~4095, 4096) }

  var usedKernels: [String] {
    lock.with { programs.used + (usedBlast ? ["CLBlastSgemm"] : []) }
  }

  // MARK: Memory

  func allocate(_ byteCount: Int) throws(DeviceError) -> UnsafeMutableRawPointer {
    try lock.with { () throws(DeviceError) in
      if let buffer = create(byteCount) { return buffer }
      // What the pool keeps for later may be what is missing.
      pool.drain(self)
      if let buffer = create(byteCount) { return buffer }
      let largest = Int(description.max_allocation)
      let free = max(0, byteLimit - byteCounts.used)
      throw .outOfMemory(
        wanted: byteCount, free: min(free, largest),
        largest: byteCount > largest
          ? "\(device) gives at most \(largest) bytes in one buffer"
          : "\(device) has \(byteLimit) bytes, \(byteCounts.used) in use")
    }
  }

  private func create(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    var buffer: OpaquePointer?
    let status = esp_cl_buffer_create(context, UInt64(max(byteCount, 1)), &buffer, nil, 0)
    return status == 0 ? buffer.map { UnsafeMutableRawPointer($0) } : nil
  }

  func free(_ memory: UnsafeMutableRawPointer, _ byteCount: Int) {
    // Work that still uses it holds it: the driver counts references.
    lock.with { esp_cl_buffer_release(context, OpaquePointer(memory)) }
  }

  func write(_ source: UnsafeRawBufferPointer, to slice: Slice) throws(DeviceError) {
    guard let base = source.baseAddress, source.count > 0 else { return }
    try lock.with { () throws(DeviceError) in
      let target = OpaquePointer(slice.buffer.memory)
      let (offset, count) = (UInt64(slice.byteOffset), UInt64(source.count))
      // A waiting write would wait for all work queued before it.
      if let staged = try staging.reserveIfSmall(source.count) {
        staged.memory.copyMemory(from: base, byteCount: source.count)
        try check("write", esp_cl_write(context, target, offset, count, staged.memory, 0))
      } else {
        try check("write", esp_cl_write(context, target, offset, count, base, 1))
      }
    }
  }

  func read(_ slice: Slice, into target: UnsafeMutableRawBufferPointer) throws(DeviceError) {
    guard let base = target.baseAddress, target.count > 0 else { return }
    try lock.with { () throws(DeviceError) in
      let source = OpaquePointer(slice.buffer.memory)
      let (offset, count) = (UInt64(slice.byteOffset), UInt64(target.count))
      try check("read", esp_cl_read(context, source, offset, count, base, 1))
    }
  }

  func finish() throws(DeviceError) {
    try lock.with { () throws(DeviceError) in try check("finish", esp_cl_finish(context)) }
  }

  func check(_ operation: String, _ status: Int32) throws(DeviceError) {
    guard status != 0 else { return }
    let name = String(cString: esp_cl_status_name(status))
    throw .failed(operation: "\(operation) on \(device)", reason: "\(name) (\(status))")
  }
}
