import CKernels

/// What belongs to one thread: its open record, and objects that layers above keep for a scope.
///
/// A task-local value would be inherited by child tasks, so that two would share a record.
package final class ThreadState {
  /// What recording knows of operations.
  let operations: KnownOperations
  var recorder: Recorder
  /// The emptied record of the last step.
  var spareRecorder: Recorder?
  /// Whether flushes only plan: see `Rehearsal`.
  package internal(set) var isRehearsing = false
  /// What the rehearsal that is running found that flushes need.
  var rehearsed: [Device: RehearsedMemory] = [:]
  /// What rehearsed blocks are planned as, by position, where `Rehearsal.structure` asks for it.
  var rehearsedBlocks: [UInt64: UInt64]?
  /// What this thread's trainings share, as long as an optimizer keeps it; see `NonFiniteFlag`.
  var flags: [Device: Flag] = [:]
  struct Flag { weak var flag: NonFiniteFlag? }
  /// What stands for a flag that cannot be raised.
  var lowered: [Device: Value] = [:]
  /// What this thread's flushes counted.
  var counters = EngineCounters()
  private var objects: [ObjectIdentifier: AnyObject] = [:]

  private init() {
    operations = KnownOperations()
    recorder = Recorder(.immediate, operations)
  }

  package static var current: ThreadState {
    if let slot = esp_thread_slot() {
      return Unmanaged<ThreadState>.fromOpaque(slot).takeUnretainedValue()
    }
    let state = ThreadState()
    esp_set_thread_slot(Unmanaged.passRetained(state).toOpaque())
    return state
  }

  /// The object of a type that is in force on this thread.
  package func object<T: AnyObject>(_ type: T.Type) -> T? {
    objects[ObjectIdentifier(type)].map { unsafeDowncast($0, to: T.self) }
  }

  /// Runs `body` with an object in force.
  package func with<T: AnyObject, R>(_ object: T, _ body: () throws -> R) rethrows -> R {
    let key = ObjectIdentifier(T.self)
    let outer = objects[key]
    objects[key] = object
    defer { objects[key] = outer }
    return try body()
  }
}
