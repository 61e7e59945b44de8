import CKernels

/// A copy between two places in the memory of one device.
struct MemoryCopy {
  let from: Slice
  let to: Slice
  /// A multiple of 4.
  let byteCount: Int

  /// Runs copies in one launch for all that go from one buffer to another.
  static func run(_ copies: [MemoryCopy], on backend: any Backend) throws(DeviceError) {
    guard let largest = copies.map(\.byteCount).max() else { return }
    let rowBytes = MemoryLayout<esp_copy_row>.stride
    let call = LaunchTable.Call(
      kernel: .copy32, operands: [.float32, .float32], rowBytes: rowBytes,
      items: elementwiseItems(largest / 4))
    let table = LaunchTable([call], rowBytes: copies.count * rowBytes)
    for copy in copies {
      table.begin(0) { ($0 == 0 ? copy.from : copy.to).buffer.memory }
      var row = esp_copy_row()
      row.operand = (esp_operand(copy.from), esp_operand(copy.to))
      row.size = (1, 1, 1, 1, 1, Int32(copy.byteCount / 4))
      row.stride_x = (0, 0, 0, 0, 0, 1)
      row.stride_y = row.stride_x
      table.add(row)
    }
    try Engine.shared.lock.with { () throws(DeviceError) in try table.run(on: backend) }
  }
}

extension esp_operand {
  /// What lies `first` elements of four bytes into a slice.
  init(_ slice: Slice, _ first: Int = 0) {
    self.init(offset: UInt32(slice.byteOffset / 4 + first), stride: 1, flags: 0)
  }

  /// An operand that is not there.
  static var absent: esp_operand {
    esp_operand(offset: 0, stride: 0, flags: UInt32(ESP_ABSENT))
  }
}
