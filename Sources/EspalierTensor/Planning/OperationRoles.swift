// What passes look for instead of operations by name.

/// Hands its operand on as a value of its own.
protocol HandsOn: Operation {
  /// Whether the result may lie where the operand does.
  var mayShareMemory: Bool { get }
  /// Whether the result counts as needing a gradient whatever the operand is.
  var carriesGradient: Bool { get }
}

/// Gives one value everywhere.
protocol GivesConstant: Operation {
  /// Whether that is exactly zero whenever the plan runs.
  var isZero: Bool { get }
}

/// Lays tensors one after another.
protocol Joins: Operation {
  /// The axis along which they follow one another.
  var axis: Int { get }
}

/// Takes a part of its operand.
protocol TakesPart: Operation {
  /// The channel from which on the part is some channels of every pixel; nil where it is not.
  func firstChannel(of whole: Shape) -> Int?
}
