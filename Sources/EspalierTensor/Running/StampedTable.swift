/// One element for some of the numbers from 0 on, all forgotten at once: what a flush notes of values
/// and records, in room that is kept from flush to flush.
final class StampedTable<Element: BitwiseCopyable> {
  private var stamps: UnsafeMutablePointer<UInt32>
  private var elements: UnsafeMutablePointer<Element>
  private var capacity: Int
  private var stamp: UInt32 = 1

  init() {
    capacity = 1024
    stamps = .allocate(capacity: capacity)
    stamps.initialize(repeating: 0, count: capacity)
    elements = .allocate(capacity: capacity)
  }

  deinit {
    stamps.deallocate()
    elements.deallocate()
  }

  /// Forgets everything; numbers below `count` may follow.
  func begin(_ count: Int) {
    stamp &+= 1
    if count <= capacity && stamp != 0 { return }
    if count > capacity {
      stamps.deallocate()
      elements.deallocate()
      capacity = max(count, 2 * capacity)
      stamps = .allocate(capacity: capacity)
      elements = .allocate(capacity: capacity)
    }
    stamps.initialize(repeating: 0, count: capacity)
    stamp = 1
  }

  subscript(number: Int32) -> Element? {
    get { contains(number) ? elements[Int(number)] : nil }
    set {
      assert(number >= 0 && number < capacity)
      guard let newValue else {
        stamps[Int(number)] = 0
        return
      }
      stamps[Int(number)] = stamp
      elements[Int(number)] = newValue
    }
  }

  func contains(_ number: Int32) -> Bool {
    assert(number >= 0 && number < capacity)
    return stamps[Int(number)] == stamp
  }
}

/// A set of numbers in room that is kept.
typealias StampedSet = StampedTable<Bool>

extension StampedTable<Bool> {
  /// Takes a number in; returns whether it is new.
  @discardableResult
  func insert(_ number: Int32) -> Bool {
    if contains(number) { return false }
    self[number] = true
    return true
  }
}
