/// What recording needs of one operation, found out once; with what its last call came to, since
/// models call an operation on equal types again and again.
class KnownOperation {
  let number: Int32
  fileprivate(set) var traits = OperationTraits()
  fileprivate(set) var operandTypes: ContiguousArray<TensorType> = []
  fileprivate(set) var resultTypes: ContiguousArray<TensorType> = []
  private var isUsed = false

  init(_ number: Int32) { self.number = number }

  /// Whether `resultTypes` and `traits` are those of a call on these operands.
  func fits(_ inputs: UnsafeBufferPointer<Tensor>) -> Bool {
    guard isUsed, operandTypes.count == inputs.count else { return false }
    for index in 0..<inputs.count where operandTypes[index] != inputs[index].value.type {
      return false
    }
    return true
  }

  /// Works them out for these operands.
  /// - Precondition: The operation takes such operands.
  func fit<O: Operation>(_ operation: O, to inputs: UnsafeBufferPointer<Tensor>) {
    let types = inputs.map(\.type)
    resultTypes = ContiguousArray(operation.resultTypes(types))
    operandTypes = ContiguousArray(types)
    traits = OperationTraits(operation, operandCount: types.count)
    isUsed = true
  }
}

/// The operations of one thread by type, without lock and, in the common case, without hashing.
final class KnownOperations {
  private var types = TypeTable()

  subscript<O: Operation>(operation: O) -> KnownOperation {
    let id = ObjectIdentifier(O.self)
    if let known = types[id] {
      return unsafeDowncast(known, to: KnownVariants<O>.self)[operation]
    }
    let variants = KnownVariants<O>()
    types.insert(variants, at: id)
    return variants[operation]
  }
}

/// The operations of one type that differ in their attributes.
private final class KnownVariants<O: Operation> {
  private var operations: ContiguousArray<O> = []
  private var known: ContiguousArray<KnownOperation> = []
  private var places: [O: Int] = [:]
  private var last = 0
  /// So many are compared one by one: most types have few.
  private static var compared: Int { 12 }

  subscript(operation: O) -> KnownOperation {
    if last < operations.count, operations[last] == operation { return known[last] }
    last = place(of: operation)
    return known[last]
  }

  private func place(of operation: O) -> Int {
    for index in 0..<min(operations.count, Self.compared) where operations[index] == operation {
      return index
    }
    if operations.count > Self.compared, let place = places[operation] { return place }
    let place = operations.count
    operations.append(operation)
    known.append(KnownOperation(OperationTable.shared.number(operation)))
    if place >= Self.compared { places[operation] = place }
    return place
  }
}

/// Objects by metatype: open addressing over the metatypes' addresses.
private struct TypeTable {
  private var keys: ContiguousArray<ObjectIdentifier?> = .init(repeating: nil, count: 128)
  private var objects: ContiguousArray<AnyObject?> = .init(repeating: nil, count: 128)
  private var count = 0

  subscript(type: ObjectIdentifier) -> AnyObject? {
    let place = place(of: type)
    return keys[place] == nil ? nil : objects[place]
  }

  mutating func insert(_ object: AnyObject, at type: ObjectIdentifier) {
    if 2 * (count + 1) > keys.count { grow() }
    let place = place(of: type)
    (keys[place], objects[place]) = (type, object)
    count += 1
  }

  private func place(of type: ObjectIdentifier) -> Int {
    let mask = keys.count - 1
    var place = (Int(bitPattern: type) >> 4) & mask
    while let key = keys[place], key != type { place = (place + 1) & mask }
    return place
  }

  private mutating func grow() {
    let old = zip(keys, objects)
    keys = .init(repeating: nil, count: keys.count * 2)
    objects = .init(repeating: nil, count: keys.count)
    count = 0
    for case (let key?, let object?) in old { insert(object, at: key) }
  }
}
