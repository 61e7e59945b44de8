/// Sizes and strides of a view of up to six dimensions, as rows want them: outermost first, padded
/// in front with size 1.
struct StridedView {
  typealias Six = (Int32, Int32, Int32, Int32, Int32, Int32)
  var sizes: [Int]
  /// One list of strides an operand.
  var strides: [[Int]]

  /// Merges neighbouring dimensions that every operand walks as one.
  mutating func collapse() {
    var axis = 0
    while axis < sizes.count {
      if sizes[axis] == 1 && sizes.count > 1 {
        sizes.remove(at: axis)
        for k in strides.indices { strides[k].remove(at: axis) }
        continue
      }
      if axis > 0, strides.allSatisfy({ $0[axis - 1] == $0[axis] * sizes[axis] }) {
        sizes[axis - 1] *= sizes[axis]
        for k in strides.indices { strides[k][axis - 1] = strides[k][axis] }
        sizes.remove(at: axis)
        for k in strides.indices { strides[k].remove(at: axis) }
        continue
      }
      axis += 1
    }
  }

  static func six(_ list: [Int], padding: Int) -> Six {
    precondition(list.count <= 6, "a view has \(list.count) dimensions, at most six are supported")
    var all = [Int32](repeating: Int32(padding), count: 6 - list.count)
    all.append(contentsOf: list.map { Int32($0) })
    return (all[0], all[1], all[2], all[3], all[4], all[5])
  }

  var size: Six { StridedView.six(sizes, padding: 1) }
  func stride(_ k: Int) -> Six { StridedView.six(strides[k], padding: 0) }
}

extension TensorType {
  /// Strides of an image whose pixels lie `pixel` elements apart; of anything else, its own.
  func strides(pixel: Int) -> [Int] {
    guard shape.rank == 4, layout == .standard, pixel != runLength else { return strides }
    return strides.enumerated().map { $0 == 1 ? $1 : $1 / runLength * pixel }
  }

  /// Strides by which this operand walks over a result of shape `shape` under broadcasting.
  func strides(broadcastTo shape: Shape, pixel: Int? = nil) -> [Int] {
    let own = strides(pixel: pixel ?? runLength)
    var result = [Int](repeating: 0, count: shape.rank)
    for offset in 1...max(1, self.shape.rank) where offset <= self.shape.rank {
      if self.shape[-offset] != 1 {
        result[shape.rank - offset] = own[self.shape.rank - offset]
      }
    }
    return result
  }
}
